#include "base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "base/version.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(Error, CarriesCodeMessageAndHint) {
  expect_error([] { check(false, "rope: head_dim must be even, got {}", 3); }, Exit::usage,
               "rope: head_dim must be even, got 3");
  expect_error([] { check_input(false, "'{}' is damaged", "x"); }, Exit::bad_input,
               "'x' is damaged");
  expect_error([] { fail(Exit::numerical, "loss is NaN", "lower the learning rate"); },
               Exit::numerical, "loss is NaN", "lower the learning rate");
  EXPECT_NO_THROW(check(true, "never {}", 1));
}

TEST(Error, ErrnoBecomesWords) {
  expect_error(
      [] {
        errno = ENOENT;
        fail_errno("cannot open 'x'", Exit::bad_input);
      },
      Exit::bad_input, "cannot open 'x': No such file or directory");
}

TEST(Version, NamesThisBuild) {
  const std::string version = program_version();
  EXPECT_EQ(std::count(version.begin(), version.end(), '.'), 2) << version;
  EXPECT_FALSE(program_commit().empty());
}

}  // namespace
}  // namespace llm
