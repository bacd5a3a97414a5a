// The SentencePiece library is the reference for every segmenter.
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <sstream>

#include "base/file_io.h"
#include "tests/tokenizer/model_builder.h"
#include "tests/tokenizer/sample_text.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace llm {
namespace {

/// Text that both treat alike by intention: valid UTF-8 without U+2581.
std::string fair_text(Random& random, size_t parts) {
  std::string text = utf8::replace_invalid(test::hostile_text(random, parts));
  for (size_t at; (at = text.find("\xE2\x96\x81")) != std::string::npos;) text.erase(at, 3);
  return text;
}

/// Unigram models: the library adds scores up over the whole text in single precision, so that its
/// choice between cuts that are as good as equal depends on what stands before. Here every word is
/// judged alone; the sum must be the same.
bool equally_good(const sentencepiece::SentencePieceProcessor& reference,
                  const std::vector<int>& left, const std::vector<int>& right) {
  double difference = 0;
  for (const int id : left) difference += reference.GetScore(id);
  for (const int id : right) difference -= reference.GetScore(id);
  return std::abs(difference) < 1e-3 && left.size() == right.size();
}

void expect_parity(const std::string& model, const std::vector<std::string>& texts) {
  sentencepiece::SentencePieceProcessor reference;
  ASSERT_TRUE(reference.LoadFromSerializedProto(model).ok());
  const SentencePieceTokenizer tokenizer(model, "parity");
  ASSERT_EQ(tokenizer.vocab_size(), reference.GetPieceSize());
  for (const std::string& text : texts) {
    const std::vector<int> expected = reference.EncodeAsIds(text);
    const std::vector<int32_t> ids = tokenizer.encode(text);
    const bool may_tie = tokenizer.model().segmentation == SegmentationType::unigram &&
                         text.find_first_of(" \n") != std::string::npos;
    if (!may_tie || !equally_good(reference, ids, expected)) {
      ASSERT_EQ(ids, expected) << "'" << text << "'";
    }
    ASSERT_EQ(tokenizer.decode(ids), reference.DecodeIds(expected)) << "'" << text << "'";
  }
}

std::vector<std::string> sentences(bool with_newlines) {
  std::vector<std::string> texts{"", " ", "  ", " a", "a ", "  a  b  ", "the", "THE 東京 über"};
  std::istringstream lines(test::sample_prose(20'000, 5));
  for (std::string line; std::getline(lines, line);) texts.push_back(line);
  std::istringstream words(test::sample_prose(20'000, 6));
  for (std::string word; words >> word;) texts.push_back(word);
  Random random(12);
  for (int i = 0; i < 300; ++i) {
    std::string text = fair_text(random, 1 + random.below(40));
    if (!with_newlines)
      std::replace_if(
          text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t' || c == '<'; }, '.');
    texts.push_back(std::move(text));
  }
  return texts;
}

TEST(Parity, OwnModelsOfEveryType) {
  for (const bool byte_fallback : {true, false}) {
    for (const char* model_type : {"bpe", "unigram", "char"}) {
      SCOPED_TRACE(fmt::format("{} {}", model_type, byte_fallback));
      expect_parity(test::train_sample(model_type, byte_fallback, 600).model, sentences(true));
    }
  }
  // With byte pieces the library spells a space that it has no piece for as U+2581, which it cannot
  // read back.
  expect_parity(test::train_sample("word", false, 400).model, sentences(false));
}

/// A model as others train them: Unicode normalisation, a dummy prefix, spaces squeezed,
/// user-defined symbols.
std::string foreign_model(const std::string& model_type, const std::string& rule, bool squeeze,
                          bool byte_fallback) {
  class Lines : public sentencepiece::SentenceIterator {
   public:
    Lines() : stream_(test::sample_prose(60'000)) { Next(); }
    bool done() const override { return done_; }
    void Next() override { done_ = !std::getline(stream_, line_); }
    const std::string& value() const override { return line_; }
    sentencepiece::util::Status status() const override { return {}; }

   private:
    std::istringstream stream_;
    std::string line_;
    bool done_ = false;
  } lines;
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"model_type", model_type},
       {"vocab_size", "700"},
       {"normalization_rule_name", rule},
       {"remove_extra_whitespaces", squeeze ? "true" : "false"},
       {"byte_fallback", byte_fallback ? "true" : "false"},
       {"hard_vocab_limit", "false"},
       {"user_defined_symbols", "ter,kalo"},
       {"minloglevel", "3"}},
      &lines, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

TEST(Parity, ForeignModelsWithNormalisation) {
  std::vector<std::string> texts = sentences(false);
  for (const char* text : {"ﬁne Ａｂｃ　①②", "e\u0301 é", "\u00A0x\u2003y", "  terkalo  ter ",
                           "\u200B\u200Bx", "Ⅳ ㍿ ｶﾞ"})
    texts.push_back(text);
  for (const char* rule : {"nmt_nfkc", "nfkc_cf", "identity"}) {
    for (const bool squeeze : {true, false}) {
      for (const char* model_type : {"bpe", "unigram", "char", "word"}) {
        SCOPED_TRACE(fmt::format("{} {} {}", rule, squeeze, model_type));
        expect_parity(foreign_model(model_type, rule, squeeze, false), texts);
      }
    }
  }
  expect_parity(foreign_model("bpe", "nmt_nfkc", true, true), texts);
}

TEST(Parity, DecodingAnyIds) {
  Random random(31);
  for (const bool squeeze : {true, false}) {
    const std::string model = foreign_model("bpe", "identity", squeeze, true);
    sentencepiece::SentencePieceProcessor reference;
    ASSERT_TRUE(reference.LoadFromSerializedProto(model).ok());
    const SentencePieceTokenizer tokenizer(model, "decode");
    for (int round = 0; round < 2'000; ++round) {
      std::vector<int> ids;
      for (uint64_t left = random.below(8); left > 0; --left) {
        const auto id =
            static_cast<int>(random.below(static_cast<uint64_t>(tokenizer.vocab_size())));
        if (tokenizer.token_bytes(id).empty() ||
            static_cast<uint8_t>(tokenizer.token_bytes(id)[0]) < 0x80)
          ids.push_back(id);
      }
      ASSERT_EQ(tokenizer.decode(ids), reference.DecodeIds(ids))
          << fmt::format("squeeze {}, ids {}", squeeze, fmt::join(ids, " "));
    }
  }
}

TEST(Parity, UnusedPiecesAreTakenApartAgain) {
  auto builder = test::ModelBuilder().specials().bytes().merges({"ab", "abc", "a", "b"});
  builder.piece("abcd", PieceType::unused, -1.5f)
      .piece("abcdabcd", PieceType::normal, -20)
      .piece("d", PieceType::normal, -30)
      .piece("c", PieceType::unused, -31);
  expect_parity(builder.build(), {"abcd", "abcdabcd", "xabcdabcdabcdx", "cab", "dcba", "c"});
}

TEST(Parity, CharactersThatAreNoPiecesCanStillBeMerged) {
  expect_parity(test::ModelBuilder().specials().bytes().merges({"ab", "東x", "😀y", "b😀"}).build(),
                {"ab", "aab", "東x東", "😀y", "ab😀y", "b😀y"});
}

TEST(Parity, EqualScoresAreMergedFromTheLeft) {
  auto builder = test::ModelBuilder().specials().bytes();
  for (const char* piece : {"a", "b", "ab", "ba", "aa", "bb", "aba", "bab"})
    builder.piece(piece, PieceType::normal, piece[1] == 0 ? -9.0f : -1.0f);
  Random random(2);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    std::string text(random.below(200), 'a');
    for (char& c : text) c = static_cast<char>('a' + random.below(2));
    texts.push_back(text);
  }
  expect_parity(builder.build(), texts);
}

TEST(Parity, Llama2OnWholeTexts) {
  const std::filesystem::path data =
      std::filesystem::path(LLM_SOURCE_DIR).parent_path() / "shared/data";
  if (!std::filesystem::exists(data / "llama2-tokenizer.model"))
    GTEST_SKIP() << "no " << data << "/llama2-tokenizer.model here";
  std::vector<std::string> texts = sentences(true);
  for (const char* name : {"tinyshakespeare.txt", "wikitext2-valid.txt"})
    texts.push_back(read_file(data / name).substr(0, 200'000));
  expect_parity(read_file(data / "llama2-tokenizer.model"), texts);
}

TEST(Parity, RealTextWholeEqualsItsLines) {
  const std::filesystem::path data =
      std::filesystem::path(LLM_SOURCE_DIR).parent_path() / "shared/data";
  if (!std::filesystem::exists(data / "tinyshakespeare.txt"))
    GTEST_SKIP() << "no texts in " << data;
  const std::string text =
      read_file(data / "tinyshakespeare.txt") + read_file(data / "wikitext2-valid.txt");
  TokenizerTrainerConfig config;
  config.vocab_size = 2'000;
  const auto tokenizer = load_tokenizer_bytes(
      train_tokenizer(config, test::source_of(text.substr(0, 300'000))).model, "real");
  const std::vector<int32_t> whole = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(whole), text);
  std::vector<int32_t> joined;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::vector<int32_t> line =
        tokenizer->encode(std::string_view(text).substr(at, end - at));
    joined.insert(joined.end(), line.begin(), line.end());
    at = end;
  }
  EXPECT_EQ(joined, whole);
}

}  // namespace
}  // namespace llm
