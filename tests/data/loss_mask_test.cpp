#include "data/loss_mask.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

/// Two documents of 3 and 8 tokens; of the first all, of the second every third is to be learnt.
std::filesystem::path masked_dataset(const Scratch& scratch, const std::string& name = "x") {
  TokenFileWriter writer(scratch.path / name, kSomeSha256);
  writer.append(std::vector<int32_t>{5, 6, 7});
  writer.append(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8},
                std::vector<uint8_t>{0, 0, 1, 0, 0, 1, 0, 0});
  writer.finish();
  return scratch.path / name;
}

std::string opened(const std::filesystem::path& prefix) {
  return error_of([&] { verify_token_file(prefix); }).second;
}

void rewrite(const Scratch& scratch, const std::string& content) {
  scratch.file("x.mask", content);
}

TEST(LossMask, BytesAreThoseOfTheFormat) {
  const Scratch scratch;
  masked_dataset(scratch);
  const std::string bytes = content_of(scratch.path / "x.mask");
  ASSERT_EQ(bytes.size(), 64u + 2);
  EXPECT_EQ(bytes.substr(0, 16), std::string("LLMMASK1\1\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(16, 16), std::string("\x0b\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 16));
  std::string hash;
  for (const char c : bytes.substr(32, 32)) {
    hash += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  EXPECT_EQ(hash, sha256_hex(content_of(scratch.path / "x.index")));
  // Tokens 0 1 2 | 5 8, from the lowest bit.
  EXPECT_EQ(bytes.substr(64), std::string("\x27\x01", 2));
}

TEST(LossMask, ReadsBackWhatWasWritten) {
  const Scratch scratch;
  const TokenFile file = TokenFile::open(masked_dataset(scratch));
  ASSERT_NE(file.loss_mask(), nullptr);
  EXPECT_EQ(file.loss_mask()->tokens_to_learn(), 5);
  std::vector<uint8_t> learnt(11);
  file.loss_mask()->read(0, learnt);
  EXPECT_EQ(learnt, (std::vector<uint8_t>{1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0}));
  for (int64_t begin = 0; begin <= 11; ++begin) {
    for (int64_t end = begin; end <= 11; ++end) {
      const auto first = learnt.begin() + begin, last = learnt.begin() + end;
      EXPECT_EQ(file.loss_mask()->count(begin, end), std::count(first, last, 1));
    }
  }
}

TEST(LossMask, ADatasetThatIsLearntWholeHasNone) {
  const Scratch scratch;
  masked_dataset(scratch);
  TokenFileWriter writer(scratch.path / "x", kSomeSha256);
  writer.append(std::vector<int32_t>{5, 6, 7}, std::vector<uint8_t>{1, 1, 1});
  writer.finish();
  EXPECT_FALSE(std::filesystem::exists(scratch.path / "x.mask")) << "the older one must go";
  EXPECT_EQ(TokenFile::open(scratch.path / "x").loss_mask(), nullptr);
}

TEST(LossMask, AMaskOfManyMegabytesBeginsLate) {
  const Scratch scratch;
  const std::vector<int32_t> ids(1'000'000, 7);
  std::vector<uint8_t> last(ids.size(), 1);
  last[999'999] = 0;
  TokenFileWriter writer(scratch.path / "x", kSomeSha256);
  for (int i = 0; i < 19; ++i) {
    writer.append(ids);
  }
  writer.append(ids, last);
  writer.append(ids);
  writer.finish();
  const TokenFile file = TokenFile::open(scratch.path / "x");
  EXPECT_EQ(file.loss_mask()->count(0, 20'999'999), 20'999'998);
  EXPECT_FALSE(file.loss_mask()->learns(19'999'999));
}

TEST(LossMask, NothingToLearnIsRefusedAndLeavesNoFiles) {
  const Scratch scratch;
  {
    TokenFileWriter writer(scratch.path / "x", kSomeSha256);
    writer.append(std::vector<int32_t>{5, 6}, std::vector<uint8_t>{0, 0});
    expect_error(Exit::bad_input, "none of the 2 tokens is to be learnt", [&] { writer.finish(); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path));
}

TEST(LossMask, DamageIsNamed) {
  const Scratch scratch;
  const std::filesystem::path prefix = masked_dataset(scratch);
  const std::string good = content_of(scratch.path / "x.mask");
  EXPECT_EQ(opened(prefix), "no error");
  const auto changed = [&](size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    rewrite(scratch, bytes);
    return opened(prefix);
  };
  EXPECT_NE(changed(0, 'X').find("is not the loss mask of a dataset"), std::string::npos);
  EXPECT_NE(changed(8, 9).find("format version 9 is newer than this program (knows 1)"),
            std::string::npos);
  EXPECT_NE(changed(8, 0).find("format version 0 unknown"), std::string::npos);
  EXPECT_NE(changed(16, 12).find("belongs to another dataset"), std::string::npos);
  EXPECT_NE(changed(24, 12).find("12 of 11 tokens to learn"), std::string::npos);
  EXPECT_NE(changed(24, 0).find("no token is to be learnt"), std::string::npos);
  EXPECT_NE(changed(40, 'x').find("belongs to another dataset"), std::string::npos);
  EXPECT_NE(changed(64, 0x26).find("header says 5 tokens to learn, the mask has 4"),
            std::string::npos);
  EXPECT_NE(changed(65, 0x09).find("bits are set after the last token"), std::string::npos);
  for (size_t size = 0; size < good.size(); ++size) {
    rewrite(scratch, good.substr(0, size));
    EXPECT_NE(opened(prefix).find("truncated"), std::string::npos) << size;
  }
  rewrite(scratch, good + "x");
  EXPECT_NE(opened(prefix).find("1 unexpected bytes after the mask"), std::string::npos);
}

TEST(LossMask, TheMaskOfAnotherDatasetIsRefused) {
  const Scratch scratch;
  const std::filesystem::path prefix = masked_dataset(scratch);
  TokenFileWriter writer(scratch.path / "y", kSomeSha256);
  writer.append(std::vector<int32_t>{5, 6, 7, 8}, std::vector<uint8_t>{1, 0, 0, 1});
  writer.append(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7});  // as many tokens, cut elsewhere
  writer.finish();
  std::filesystem::copy_file(scratch.path / "y.mask", scratch.path / "x.mask",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(opened(prefix).find("belongs to another dataset"), std::string::npos);
}

}  // namespace
}  // namespace llm
