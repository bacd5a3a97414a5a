#include "tokenizer/tokenizer_trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file_io.h"
#include "tests/tokenizer/sample_text.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/training_lines.h"

namespace llm {
namespace {

using test::sample_prose;
using test::source_of;
using test::train_sample;

std::pair<Exit, std::string> refusal(const TokenizerTrainerConfig& config,
                                     const std::string& text) {
  try {
    train_tokenizer(config, source_of(text));
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {Exit::ok, "trained"};
}

TEST(TokenizerTrainer, TheSameTextGivesTheSameBytes) {
  for (const char* model_type : {"bpe", "unigram", "char", "word"}) {
    EXPECT_EQ(train_sample(model_type, true, 400).model, train_sample(model_type, true, 400).model)
        << model_type;
  }
}

TEST(TokenizerTrainer, HowTheSizeWasAskedForDoesNotMatter) {
  const std::string text = sample_prose(30'000);
  for (const char* model_type : {"bpe", "unigram", "word", "char", "byte-bpe"}) {
    TokenizerTrainerConfig config;
    config.model_type = model_type;
    config.vocab_size = 400;
    const TokenizerTraining ordered = train_tokenizer(config, source_of(text));
    config.fewer_allowed = true;
    EXPECT_EQ(train_tokenizer(config, source_of(text)).sha256, ordered.sha256) << model_type;
    EXPECT_EQ(load_tokenizer_bytes(ordered.model, "")->vocab_size(), ordered.vocab_size);
  }
}

TEST(TokenizerTrainer, AVocabularyThatTheTextSettledIsTheSameWhenItIsAskedFor) {
  const std::string text = sample_prose(30'000);
  for (const char* model_type : {"bpe", "unigram", "word", "char", "byte-bpe"}) {
    TokenizerTrainerConfig config;
    config.model_type = model_type;
    config.vocab_size = 20'000;
    config.fewer_allowed = true;
    const TokenizerTraining wished = train_tokenizer(config, source_of(text));
    EXPECT_LT(wished.vocab_size, 20'000) << model_type;
    config.vocab_size = wished.vocab_size;
    const TokenizerTraining settled = train_tokenizer(config, source_of(text));
    EXPECT_EQ(settled.vocab_size, wished.vocab_size) << model_type;
    EXPECT_EQ(settled.sha256, wished.sha256) << model_type;
  }
}

TEST(TokenizerTrainer, HowTheTextArrivesDoesNotMatter) {
  const std::string text = sample_prose(30'000);
  TokenizerTrainerConfig config;
  config.vocab_size = 400;
  size_t at = 0;
  const auto by_line = [&](std::string& out) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    out = text.substr(at, end - at);
    at = end;
    return !out.empty();
  };
  EXPECT_EQ(train_tokenizer(config, by_line).sha256,
            train_tokenizer(config, source_of(text)).sha256);
}

TEST(TokenizerTrainer, TheVocabularyHasTheSizeAskedFor) {
  for (const char* model_type : {"bpe", "unigram", "word"})
    EXPECT_EQ(train_sample(model_type, true, 512).vocab_size, 512) << model_type;
}

TEST(TokenizerTrainer, CharTakesTheVocabularyFromTheText) {
  TokenizerTrainerConfig config;
  config.model_type = "char";
  config.byte_fallback = false;
  config.character_coverage = 1;
  const std::string text = "To be,\nor not\tto be\n";
  const TokenizerTraining training = train_tokenizer(config, source_of(text));
  EXPECT_EQ(training.vocab_size, 5 + 11);  // T o b e , r n t, space, newline, tab
  const auto tokenizer = load_tokenizer_bytes(training.model, "char");
  EXPECT_EQ(tokenizer->encode(text).size(), text.size());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(TokenizerTrainer, WithoutByteFallbackNewlinesAndTabsSurvive) {
  for (const char* model_type : {"bpe", "unigram", "char", "word"}) {
    TokenizerTrainerConfig config;
    config.model_type = model_type;
    config.byte_fallback = false;
    config.character_coverage = 1;
    config.vocab_size = std::string(model_type) == "word" ? 416 : 100;
    std::string text = "one\ttwo\n";
    for (int i = 0; i < 300; ++i) text += fmt::format("{} w{} a{}x\n", i % 7, i, i * 17 % 100);
    const auto tokenizer =
        load_tokenizer_bytes(train_tokenizer(config, source_of(text)).model, model_type);
    const std::string sample =
        std::string(model_type) == "word" ? "one\ttwo\n0 w0" : "one\ttwo\n\n2 w5\t\n";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(sample)), sample) << model_type;
  }
}

TEST(TokenizerTrainer, RunsOfSpacesAreLearned) {
  TokenizerTrainerConfig config;
  config.vocab_size = 290;
  std::string text;
  for (int i = 0; i < 200; ++i) text += std::string(4 * (1 + i % 3), ' ') + "return value;\n";
  const auto tokenizer =
      load_tokenizer_bytes(train_tokenizer(config, source_of(text)).model, "code");
  const std::vector<int32_t> ids = tokenizer->encode("        x");
  EXPECT_LE(ids.size(), 3u);
}

TEST(TokenizerTrainer, TooLargeAVocabularyNamesTheMostPossible) {
  for (const char* model_type : {"bpe", "unigram", "word"}) {
    TokenizerTrainerConfig config;
    config.model_type = model_type;
    const std::string text = sample_prose(3'000);
    const auto [code, message] = refusal(config, text);
    EXPECT_EQ(code, Exit::bad_input);
    const std::string start = "vocab_size 32000 is too high for this text; the most possible is ";
    ASSERT_TRUE(message.starts_with(start)) << message;
    config.vocab_size = std::stoll(message.substr(start.size()));
    EXPECT_EQ(train_tokenizer(config, source_of(text)).vocab_size, config.vocab_size) << model_type;
    ++config.vocab_size;
    EXPECT_EQ(refusal(config, text).first, Exit::bad_input) << model_type;
  }
}

TEST(TokenizerTrainer, TooSmallAVocabularyNamesTheLeastPossible) {
  TokenizerTrainerConfig config;
  config.vocab_size = 262;
  const std::string text = sample_prose(3'000);
  const auto [code, message] = refusal(config, text);
  EXPECT_EQ(code, Exit::bad_input);
  const std::string start =
      "vocab_size 262 is too low for this text; its characters need at least ";
  ASSERT_TRUE(message.starts_with(start)) << message;
  config.vocab_size = std::stoll(message.substr(start.size()));
  EXPECT_EQ(train_tokenizer(config, source_of(text)).vocab_size, config.vocab_size);
}

TEST(TokenizerTrainer, AVocabularyThatCannotEvenHoldTheBytesIsAUsageError) {
  TokenizerTrainerConfig config;
  config.vocab_size = 261;
  EXPECT_EQ(
      refusal(config, "text"),
      std::pair(
          Exit::usage,
          std::string(
              "vocab_size 261 is too low: the special tokens and byte pieces alone are 261")));
}

TEST(TokenizerTrainer, NoTextIsRefused) {
  const TokenizerTrainerConfig config;
  for (const std::string& text : {std::string(), std::string("\n\n\n"), std::string(3, '\0')}) {
    EXPECT_EQ(refusal(config, text),
              std::pair(Exit::bad_input,
                        fmt::format("there is no text to train a tokenizer on ({} bytes read)",
                                    text.size())));
  }
}

TEST(TokenizerTrainer, HostileTextIsTrainedOn) {
  Random random(8);
  TokenizerTrainerConfig config;
  config.vocab_size = 1200;
  config.character_coverage = 0.98;
  const std::string text = sample_prose(20'000) + test::hostile_text(random, 2'000) +
                           std::string(100'000, 'a') + sample_prose(20'000, 2);
  const auto tokenizer =
      load_tokenizer_bytes(train_tokenizer(config, source_of(text)).model, "hostile");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(TokenizerTrainer, TheFileHoldsWhatWasTrained) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("trainer-{}", getpid());
  TokenizerTrainerConfig config;
  config.vocab_size = 320;
  const auto training =
      train_tokenizer(config, source_of(sample_prose(5'000)), folder / "deep" / "tokenizer.model");
  EXPECT_EQ(read_file(folder / "deep" / "tokenizer.model"), training.model);
  EXPECT_EQ(load_tokenizer(folder / "deep")->sha256(), training.sha256);
  std::filesystem::remove_all(folder);
}

TEST(TrainingLines, ReservedCharactersCutLines) {
  TrainingLines lines(0, false);
  lines.add(std::string("a\tb\nc\0d\xE2\x96\x81 e\xFF", 14));
  lines.add("f\n\n\xE2\x96\x85g");
  EXPECT_TRUE(lines.has_tab());
  EXPECT_EQ(lines.lines(), 5);
  EXPECT_EQ(lines.lines_used(), 4);  // one is empty
  EXPECT_EQ(lines.take(), (std::vector<std::string>{"a", "b", "c", "d", " e", "f", "g"}));
}

TEST(TrainingLines, LongLinesAreCutBeforeSpacesOrBetweenCharacters) {
  TrainingLines words(0, false);
  words.add(std::string(1000, 'x') + " " + std::string(1000, 'y'));
  EXPECT_EQ(words.take(),
            (std::vector<std::string>{std::string(1000, 'x'), " " + std::string(1000, 'y')}));
  TrainingLines characters(0, false);
  std::string kanji;
  for (int i = 0; i < 1000; ++i) kanji += "東";
  characters.add(kanji);
  std::string joined;
  for (const std::string& line : characters.take()) {
    EXPECT_TRUE(utf8::is_valid(line));
    EXPECT_LE(line.size(), kMaxLineBytes);
    joined += line;
  }
  EXPECT_EQ(joined, kanji);
}

TEST(TrainingLines, TheSampleIsEven) {
  TrainingLines lines(1'000, false);
  for (int i = 0; i < 10'000; ++i) lines.add(std::to_string(i) + "\n");
  EXPECT_EQ(lines.lines(), 10'000);
  EXPECT_EQ(lines.lines_used(), 1'000);
  const std::vector<std::string> sample = lines.take();
  ASSERT_EQ(sample.size(), 1'000u);
  double mean = 0;
  for (const std::string& line : sample) mean += std::stod(line) / 1'000;
  EXPECT_NEAR(mean, 5'000, 300);  // 3.3 standard deviations
}

TEST(TokenizerTrainer, EndsWhereItIsAskedTo) {
  for (const char* model_type : {"bpe", "byte-bpe"}) {
    TokenizerTrainerConfig config;
    config.model_type = model_type;
    config.vocab_size = 400;
    // Asked while it reads: the source has no end.
    int given = 0;
    const std::string text = sample_prose(600'000);
    const auto endless = [&](std::string& out) {
      out = text;
      return ++given < 100;
    };
    EXPECT_THROW(train_tokenizer(config, endless, [&] { return given >= 4; }), Stopped);
    EXPECT_EQ(given, 4) << model_type;
    // Asked just after the text: nothing is learnt any more.
    EXPECT_THROW(train_tokenizer(config, source_of(sample_prose(10'000)), [] { return true; }),
                 Stopped);
  }
}

}  // namespace
}  // namespace llm
