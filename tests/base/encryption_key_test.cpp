#include "base/encryption_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

class EncryptionKeyFile : public testing::Test {
 protected:
  fs::path file_of(const std::string& content) {
    const fs::path path = folder_.write("key", content);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return path;
  }
  std::string key_of(const std::string& content) {
    const EncryptionKey key = read_encryption_key(file_of(content));
    return {reinterpret_cast<const char*>(key.bytes().data()), key.bytes().size()};
  }
  TemporaryFolder folder_;
};

const std::string kRaw = "0123456789abcdef0123456789ABCD\n\n";  // 32 bytes, whatever they are
const std::string kDigits = "00ff10abCDef0123456789abcdef00112233445566778899aabbccddeeff7f80";

TEST_F(EncryptionKeyFile, HoldsThirtyTwoBytesOrTheirDigits) {
  EXPECT_EQ(key_of(kRaw), kRaw);
  const std::string spelt = key_of(kDigits);
  EXPECT_EQ(spelt.substr(0, 6), std::string("\x00\xff\x10\xab\xcd\xef", 6));
  EXPECT_EQ(spelt.substr(30), "\x7f\x80");
  EXPECT_EQ(key_of(kDigits + "\n"), spelt);
  EXPECT_EQ(key_of(kDigits + "\r\n"), spelt);
  EXPECT_FALSE(read_encryption_key(""));
}

TEST_F(EncryptionKeyFile, RefusesEverythingElse) {
  std::string wrong_digit = kDigits;
  wrong_digit[9] = 'g';
  for (const std::string& content :
       {std::string(), kRaw.substr(1), kRaw + "\n", kDigits.substr(1), kDigits + "\n\n",
        kDigits + " ", kDigits + "0", wrong_digit, std::string("secret")}) {
    const fs::path path = file_of(content);
    expect_error([&] { read_encryption_key(path); }, Exit::bad_input,
                 fmt::format("encryption key '{}' has {} bytes; it must be 32 bytes or 64 "
                             "hexadecimal digits",
                             path.string(), content.size()),
                 "head -c 32 /dev/urandom > FILE makes one");
  }
  expect_error([&] { read_encryption_key(folder_ / "none"); }, Exit::bad_input,
               fmt::format("cannot open encryption key '{}': No such file or directory",
                           (folder_ / "none").string()));
}

TEST_F(EncryptionKeyFile, IsWarnedOfWhereOthersMayReadIt) {
  const fs::path path = file_of(kDigits);
  for (const fs::perms others : {fs::perms::none, fs::perms::group_read, fs::perms::others_read}) {
    fs::permissions(path, fs::perms::owner_read | others);
    testing::internal::CaptureStderr();
    read_encryption_key(path);
    const std::string said = testing::internal::GetCapturedStderr();
    const bool warned = said.find("can be read by other users") != std::string::npos;
    EXPECT_EQ(warned, others != fs::perms::none) << said;
    EXPECT_EQ(said.find(kDigits.substr(0, 8)), std::string::npos);
  }
}

}  // namespace
}  // namespace llm
