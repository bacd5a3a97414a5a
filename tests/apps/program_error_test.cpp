#include "apps/program_error.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>

#include "tests/support/sanitized.h"

namespace llm {
namespace {

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    return error_in_flight();
  }
  return {Exit::ok, "nothing was thrown"};
}

void expect_out_of_memory(const std::function<void()>& action) {
  const Error error = error_of(action);
  EXPECT_EQ(error.message(), "not enough memory");
  EXPECT_EQ(error.hint(), "a smaller batch, sequence length or model needs less");
  EXPECT_EQ(error.code(), Exit::internal);
}

TEST(ProgramError, MemoryThatIsRefusedHasOneMessage) {
  expect_out_of_memory([] { throw std::bad_alloc(); });
  expect_out_of_memory([] { std::string().resize(std::string().max_size() + 1); });
  expect_out_of_memory(
      [] { throw std::runtime_error("CUDA out of memory. Tried to allocate 20 GiB"); });
}

// LibTorch's own words: 2^58 bytes are more than any machine maps, 2^62 floats more than it counts.
TEST(ProgramError, LibTorchSaysItInItsOwnWords) {
  if (test::kSanitized) GTEST_SKIP() << "AddressSanitizer ends the process instead";
  expect_out_of_memory([] { at::empty({int64_t{1} << 58}, at::kByte); });
  expect_out_of_memory([] { at::empty({int64_t{1} << 62}, at::kFloat); });
}

TEST(ProgramError, OtherErrorsStayWhatTheyAre) {
  const Error own = error_of([] { fail(Exit::numerical, "the loss is NaN", "a lower rate"); });
  EXPECT_EQ(own.message(), "the loss is NaN");
  EXPECT_EQ(own.hint(), "a lower rate");
  EXPECT_EQ(own.code(), Exit::numerical);
  const Error file =
      error_of([] { static_cast<void>(std::filesystem::file_size("/no/such/file")); });
  EXPECT_EQ(file.message(), "'/no/such/file': No such file or directory");
  EXPECT_EQ(file.code(), Exit::io);
  const Error defect = error_of([] { throw std::runtime_error("first line\nand pages more"); });
  EXPECT_EQ(defect.message(), "internal error: first line");
  EXPECT_EQ(defect.code(), Exit::internal);
}

}  // namespace
}  // namespace llm
