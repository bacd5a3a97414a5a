#include "data/byte_source.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

/// Reads to the end; what it held by then goes to `text`.
void read_all(ByteSource& source, std::string& text) {
  std::string part(100'000, '\0');
  while (const size_t count = source.read(part.data(), part.size())) text.append(part, 0, count);
}

TEST(ByteSource, AFileThatIsCutWhileItIsReadIsNoWholeText) {
  const TemporaryFolder folder;
  const std::string whole(1'000'000, 'a');
  folder.write("text", whole);
  ByteSource source((folder / "text").string());
  std::filesystem::resize_file(folder / "text", 600'000);
  std::string text;
  try {
    read_all(source, text);
    FAIL() << text.size() << " bytes were taken for all";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::io);
    EXPECT_EQ(error.message(), "'" + (folder / "text").string() +
                                   "' was cut while it was read: it had 1000000 bytes, now 600000");
  }
}

TEST(ByteSource, AFileThatGrowsIsReadToItsEnd) {
  const TemporaryFolder folder;
  folder.write("text", std::string(1'000'000, 'a'));
  ByteSource source((folder / "text").string());
  folder.write("text", std::string(1'200'000, 'a'));
  std::string text;
  read_all(source, text);
  EXPECT_EQ(text, std::string(1'200'000, 'a'));
}

}  // namespace
}  // namespace llm
