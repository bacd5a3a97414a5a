#include "tokenizer/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "tests/tokenizer/model_builder.h"
#include "tests/tokenizer/sample_text.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace llm {
namespace {

using test::ModelBuilder;

std::string refusal(const std::string& file) {
  try {
    SentencePieceTokenizer tokenizer(file, "x");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    return error.message();
  }
  return "accepted";
}

TEST(ModelFile, AGoodOneIsReadInFull) {
  const std::string file = test::small_bpe_model();
  const SentencePieceModel model = read_sentencepiece_model(file, "x");
  EXPECT_EQ(model.pieces.size(), 268u);
  EXPECT_EQ(model.segmentation, SegmentationType::bpe);
  EXPECT_TRUE(model.byte_fallback);
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_FALSE(model.remove_extra_whitespaces);
  EXPECT_EQ(model.unk_id, 3);
  EXPECT_EQ(model.byte_ids[0], 5);
  EXPECT_EQ(model.byte_ids[255], 260);
  EXPECT_EQ(model.pieces[262].text, "the");
  EXPECT_EQ(model.pieces[262].score, -1.0f);
}

TEST(ModelFile, LongPiecesAreRefusedBeyondTheLimit) {
  EXPECT_EQ(refusal(ModelBuilder().specials().piece(std::string(65536, 'a')).build()), "accepted");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece(std::string(65537, 'a')).build()),
            "'x': piece 5 is 65537 bytes long (limit 65536)");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece(std::string(1 << 20, 'a')).build()),
            "'x': piece 5 is 1048576 bytes long (limit 65536)");
}

TEST(ModelFile, TooManyPiecesAreRefused) {
  std::string file = ModelBuilder().specials().build();
  const std::string piece = test::bytes_field(1, test::bytes_field(1, "a"));
  std::string pieces;
  pieces.reserve(piece.size() * (kMaxPieces + 1));
  for (size_t i = 0; i <= kMaxPieces; ++i) pieces += piece;
  EXPECT_EQ(refusal(pieces), "'x' declares more than 2000000 pieces");
}

TEST(ModelFile, DuplicatePiecesAreNamed) {
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("abc").piece("b").piece("abc").build()),
            "'x': piece 'abc' appears twice (ids 5, 7)");
}

TEST(ModelFile, PiecesThatCannotBeUsedAreRefused) {
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("").build()), "'x': piece 5 is empty");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("\xFF").build()),
            "'x': piece 5 is not valid UTF-8");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("a", static_cast<PieceType>(7)).build()),
            "'x': piece 5 has the unknown type 7");
  EXPECT_EQ(refusal(ModelBuilder()
                        .specials()
                        .piece("a", PieceType::normal, std::numeric_limits<float>::quiet_NaN())
                        .build()),
            "'x': piece 5 has no finite score");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("a", PieceType::byte).build()),
            "'x': piece 5 is of type byte, but is called 'a'");
}

TEST(ModelFile, MissingSpecialPiecesAreNamed) {
  EXPECT_EQ(refusal(ModelBuilder().piece("</s>", PieceType::control).piece("a").build()),
            "'x': the model has no <unk>");
  EXPECT_EQ(refusal(ModelBuilder().piece("<unk>", PieceType::unknown).piece("a").build()),
            "'x' has no end-of-text token (no piece is called '</s>')");
  EXPECT_EQ(refusal(ModelBuilder().specials().piece("<unk2>", PieceType::unknown).build()),
            "'x' has two unknown pieces (ids 3, 5)");
}

TEST(ModelFile, IncompleteBytePiecesAreRefused) {
  ModelBuilder builder = ModelBuilder().specials().piece("<0x00>", PieceType::byte);
  builder.trainer += test::number_field(35, 1);
  EXPECT_EQ(refusal(builder.build()), "'x': byte fallback is on, but the piece <0x01> is missing");
}

TEST(ModelFile, SettingsThatChangeTheResultAreRefusedByName) {
  ModelBuilder suffix = ModelBuilder().specials();
  suffix.trainer += test::number_field(24, 1);
  EXPECT_EQ(refusal(suffix.build()),
            "'x': whitespace as a suffix is not supported; its text would be cut differently here");
  ModelBuilder type = ModelBuilder().specials();
  type.trainer = test::number_field(3, 9);
  EXPECT_EQ(refusal(type.build()), "'x': the model type 9 is unknown (1 to 4 are)");
  ModelBuilder rules = ModelBuilder().specials();
  rules.normalizer += test::bytes_field(2, "0123456789");
  EXPECT_EQ(refusal(rules.build()), "'x' is damaged: its normalisation rules are not complete");
}

TEST(ModelFile, TruncationAnywhereIsNoticed) {
  const std::string file = test::train_sample("bpe", true, 500).model;
  for (size_t bytes = 0; bytes < file.size(); bytes += 97) {
    const std::string message = refusal(file.substr(0, bytes));
    ASSERT_NE(message, "accepted") << bytes;
    if (bytes > 100) {
      ASSERT_TRUE(message.starts_with(
          "'x' is damaged: not a complete SentencePiece model (stopped at byte "))
          << bytes << ": " << message;
    }
  }
  EXPECT_NE(refusal(file.substr(0, file.size() - 1)), "accepted");
}

TEST(ModelFile, FlippedBitsAreRefusedOrHarmless) {
  const std::string file = test::train_sample("unigram", true, 400).model;
  Random random(21);
  int refused = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::string damaged = file;
    for (uint64_t flips = 1 + random.below(4); flips > 0; --flips)
      damaged[random.below(damaged.size())] ^= static_cast<char>(1 << random.below(8));
    try {
      const SentencePieceTokenizer tokenizer(damaged, "x");
      for (const int32_t id : tokenizer.encode("the quick \xE2\x96\x81 東京\n"))
        ASSERT_LT(id, tokenizer.vocab_size());
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Exit::bad_input);
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

TEST(ModelFile, RandomBytesAreNoModel) {
  Random random(4);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random.below(300), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    ASSERT_NE(refusal(bytes), "accepted");
  }
  EXPECT_EQ(refusal("\x89PNG\r\n"), "'x' is not a SentencePiece model or tokenizer.json");
}

TEST(ModelFile, PiecesMadeOfEachOtherCannotStallTheLoader) {
  ModelBuilder builder = ModelBuilder().specials();
  std::vector<std::string> chain;
  for (size_t length = 1; length < 4'000; ++length) chain.emplace_back(length, 'a');
  EXPECT_EQ(refusal(builder.merges(chain).build()),
            "'x': too many long pieces that are made of each other");
}

}  // namespace
}  // namespace llm
