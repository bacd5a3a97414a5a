#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "tests/tokenizer/model_builder.h"
#include "tests/tokenizer/sample_text.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

std::unique_ptr<const Tokenizer> trained(const std::string& model_type, bool byte_fallback = true) {
  const int64_t vocab_size = model_type == "word" ? 400 : 600;
  return load_tokenizer_bytes(test::train_sample(model_type, byte_fallback, vocab_size).model,
                              model_type);
}

class RoundTrip : public testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, AnyByteStringComesBack) {
  const auto tokenizer = trained(GetParam());
  Random random(7);
  for (int round = 0; round < 400; ++round) {
    const std::string text = test::hostile_text(random, 1 + random.below(60));
    const std::vector<int32_t> ids = tokenizer->encode(text);
    ASSERT_EQ(tokenizer->decode(ids), text) << "round " << round;
    for (const int32_t id : ids) ASSERT_FALSE(tokenizer->is_special(id)) << "round " << round;
  }
}

TEST_P(RoundTrip, EverySingleByteAndEveryPairComesBack) {
  const auto tokenizer = trained(GetParam());
  for (int first = 0; first < 256; ++first) {
    std::string text(1, static_cast<char>(first));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    text += '\0';
    for (int second = 0; second < 256; ++second) {
      text[1] = static_cast<char>(second);
      ASSERT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << first << " " << second;
    }
  }
}

TEST_P(RoundTrip, TokenBytesJoinedAreTheText) {
  const auto tokenizer = trained(GetParam());
  const std::string text = test::sample_prose(5'000, 9);
  std::string joined;
  for (const int32_t id : tokenizer->encode(text)) joined += tokenizer->token_bytes(id);
  EXPECT_EQ(joined, text);
}

TEST_P(RoundTrip, AnyPartOfTheIdsGivesThatPartOfTheBytes) {
  const auto tokenizer = trained(GetParam());
  Random random(3);
  const std::string text = test::hostile_text(random, 200);
  const std::vector<int32_t> ids = tokenizer->encode(text);
  std::string before;
  for (size_t i = 0; i <= ids.size(); ++i) {
    const auto all = std::span(ids);
    ASSERT_EQ(tokenizer->decode(all.first(i)) + tokenizer->decode(all.subspan(i)), text);
  }
}

TEST_P(RoundTrip, LinesEncodedApartAreTheTextEncodedWhole) {
  const auto tokenizer = trained(GetParam());
  Random random(5);
  const std::string text = test::sample_prose(20'000, 4) + test::hostile_text(random, 3'000);
  std::vector<int32_t> joined;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::vector<int32_t> line =
        tokenizer->encode(std::string_view(text).substr(at, end - at));
    joined.insert(joined.end(), line.begin(), line.end());
    at = end;
  }
  EXPECT_EQ(joined, tokenizer->encode(text));
}

TEST_P(RoundTrip, SpecialIdsAreFixed) {
  for (const bool byte_fallback : {true, false}) {
    const auto tokenizer = trained(GetParam(), byte_fallback);
    EXPECT_EQ(tokenizer->pad_id(), 0);
    EXPECT_EQ(tokenizer->bos_id(), 1);
    EXPECT_EQ(tokenizer->eos_id(), 2);
    EXPECT_EQ(tokenizer->unk_id(), 3);
    EXPECT_EQ(tokenizer->mask_id(), 4);
    const char* names[] = {"<pad>", "<s>", "</s>", "<unk>", "<mask>"};
    for (int32_t id = 0; id < 5; ++id) {
      EXPECT_EQ(tokenizer->token_text(id), names[id]);
      EXPECT_EQ(tokenizer->find_token(names[id]), id);
      EXPECT_TRUE(tokenizer->is_special(id));
    }
    EXPECT_FALSE(tokenizer->is_special(5));
  }
}

TEST_P(RoundTrip, SpecialTokenTextStaysText) {
  const auto tokenizer = trained(GetParam());
  for (const char* name : {"<pad>", "<s>", "</s>", "<unk>", "<mask>", "<0x00>", "<0x41>"}) {
    const std::string spelled = name;
    for (const std::string& text :
         {spelled, "a" + spelled + "b", " " + spelled + " ", spelled + spelled}) {
      const std::vector<int32_t> ids = tokenizer->encode(text);
      EXPECT_EQ(tokenizer->decode(ids), text);
      EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer->find_token(name)), 0) << text;
    }
  }
}

TEST_P(RoundTrip, ManyThreadsGetTheSameIds) {
  const auto tokenizer = trained(GetParam());
  const std::string text = test::sample_prose(30'000, 11);
  const std::vector<int32_t> expected = tokenizer->encode(text);
  std::vector<std::vector<int32_t>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = tokenizer->encode(text); });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

INSTANTIATE_TEST_SUITE_P(ModelTypes, RoundTrip, testing::Values("bpe", "unigram", "char", "word"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Decode, ControlIdsGiveNothing) {
  const auto tokenizer = load_tokenizer_bytes(test::small_bpe_model(), "small");
  std::vector<int32_t> ids = tokenizer->encode("the the");
  ids.insert(ids.begin(), tokenizer->bos_id());
  ids.push_back(tokenizer->eos_id());
  ids.push_back(tokenizer->mask_id());
  EXPECT_EQ(tokenizer->decode(ids), "the the");
}

TEST(Decode, IdsOutsideTheVocabularyAreRefused) {
  const auto tokenizer = load_tokenizer_bytes(test::small_bpe_model(), "small");
  for (const int32_t id : {-1, 268, 2147483647}) {
    try {
      tokenizer->decode(std::vector<int32_t>{id});
      FAIL() << id;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      EXPECT_EQ(error.message(),
                fmt::format("token id {} is outside the vocabulary (0 to 267)", id));
    }
  }
}

TEST(Encode, TakesTheBestMergesFirst) {
  const auto tokenizer = load_tokenizer_bytes(test::small_bpe_model(), "small");
  EXPECT_EQ(tokenizer->encode("the the"), (std::vector<int32_t>{262, 263}));
  EXPECT_EQ(tokenizer->encode("thx"), (std::vector<int32_t>{261, 5 + 'x'}));
  EXPECT_EQ(tokenizer->encode(" \xE2\x96\x81\n"),
            (std::vector<int32_t>{267, 5 + 0xE2, 5 + 0x96, 5 + 0x81, 5 + '\n'}));
  EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(Encode, AMillionEqualLettersAreMergedLikeAFew) {
  const auto tokenizer = load_tokenizer_bytes(
      test::ModelBuilder().specials().bytes().merges({"aa", "aaaa", "aaaaaaaa", "a"}).build(), "a");
  const std::vector<int32_t> ids = tokenizer->encode(std::string(1'000'003, 'a'));
  ASSERT_EQ(ids.size(), 125'000u + 2);
  EXPECT_EQ(ids[0], 263);
  EXPECT_EQ(ids[125'000], 261);
  EXPECT_EQ(ids[125'001], 264);
}

TEST(Encode, WithoutBytePiecesUnknownTextIsOneUnk) {
  const auto tokenizer = load_tokenizer_bytes(
      test::ModelBuilder().specials().merges({"a", "\xE2\x96\x81"}).build(), "no bytes");
  EXPECT_EQ(tokenizer->encode("a\xFFxyza zz"), (std::vector<int32_t>{5, 3, 5, 6, 3}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("axa")), "a \xE2\x81\x87 a");
}

TEST(Encode, UserDefinedPiecesAreTakenWholeButMarkupIsNotMadeFromText) {
  auto builder = test::ModelBuilder().specials().bytes();
  builder.piece("xyz", PieceType::user_defined)
      .piece("<|im_end|>", PieceType::user_defined)
      .piece("[INST]", PieceType::user_defined);
  const auto tokenizer = load_tokenizer_bytes(builder.merges({"a"}).build(), "user");
  EXPECT_EQ(tokenizer->encode("axyza"), (std::vector<int32_t>{264, 261, 264}));
  EXPECT_EQ(tokenizer->encode("<|im_end|>[INST]").size(), 16u);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<|im_end|>[INST]")), "<|im_end|>[INST]");
  EXPECT_TRUE(tokenizer->is_special(262));
  EXPECT_TRUE(tokenizer->is_special(263));
  EXPECT_FALSE(tokenizer->is_special(261));
}

}  // namespace
}  // namespace llm
