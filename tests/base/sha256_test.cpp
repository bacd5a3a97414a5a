#include "base/sha256.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), kAbc);
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PartsEqualTheWhole) {
  Sha256 hash;
  hash.update("a");
  hash.update(std::string_view());
  hash.update("bc");
  EXPECT_EQ(hash.finish(), kAbc);
}

TEST(Sha256, FileEqualsItsBytesAndAMissingOneIsNamed) {
  const TemporaryFolder folder;
  std::ofstream(folder / "x") << "abc";
  EXPECT_EQ(sha256_file(folder / "x"), kAbc);
  try {
    sha256_file(folder / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::io);
    EXPECT_EQ(error.message(),
              "cannot open '" + (folder / "none").string() + "': No such file or directory");
  }
}

}  // namespace
}  // namespace llm
