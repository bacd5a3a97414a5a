#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "data/data_config.h"
#include "data/synthetic.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

std::vector<std::string> texts_of(const std::filesystem::path& prefix) {
  ByteTokenizer tokenizer;
  TokenFile file = TokenFile::open(prefix);
  std::vector<std::string> texts;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    texts.push_back(tokenizer.decode(file.sequence(s)));
  }
  return texts;
}

std::vector<std::string> pulled(const std::function<bool(std::string&)>& source) {
  std::vector<std::string> texts;
  for (std::string text; source(text);) {
    texts.push_back(text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(RunData, WithoutAPathTheStoriesAreUsedAndTheirEntropyIsExact) {
  Scratch scratch;
  DataConfig config;
  config.synthetic_stories = 100;
  config.text.val_fraction = 0.2;
  RunData data = prepare_run_data(config, ByteTokenizer(), scratch.path, 42);
  EXPECT_TRUE(data.synthetic);
  EXPECT_EQ(data.train, scratch.path / "data" / "train");
  StoryCorpus corpus(1);
  Texts train = texts_of(data.train), val = texts_of(data.validation);
  ASSERT_EQ(train.size(), 100u);
  ASSERT_EQ(val.size(), 20u);
  EXPECT_EQ(train[99], corpus.story(99).text);
  double nats = 0;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(val[static_cast<size_t>(i)], corpus.story(100 + i).text);
    nats += corpus.story(100 + i).nats;
  }
  EXPECT_DOUBLE_EQ(data.entropy_nats_per_token,
                   nats / static_cast<double>(TokenFile::open(data.validation).tokens()));
  EXPECT_EQ(pulled(training_text(config)), train);
}

/// Knows no letter "e".
class LossyTokenizer final : public ByteTokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text) const override {
    std::vector<int32_t> ids = ByteTokenizer::encode(text);
    std::replace(ids.begin(), ids.end(), 5 + 'e', unk_id());
    return ids;
  }
};

TEST(RunData, ATokenizerThatLosesTextHasNoEntropyToCompareWith) {
  Scratch scratch;
  DataConfig config;
  config.synthetic_stories = 20;
  config.text.val_fraction = 0.2;
  const RunData data = prepare_run_data(config, LossyTokenizer(), scratch.path, 42);
  EXPECT_TRUE(data.synthetic);
  EXPECT_EQ(data.entropy_nats_per_token, 0);
}

TEST(RunData, TextIsPreparedOnceAndAgainOnlyWhenSomethingChanged) {
  Scratch scratch;
  DataConfig config;
  config.path = {scratch.file("a.txt", "one\ntwo\nthree\n")};
  config.text.val_fraction = 0;
  auto prepared = [&] {
    RunData data = prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42);
    EXPECT_TRUE(data.validation.empty());
    EXPECT_FALSE(data.synthetic);
    return texts_of(data.train);
  };
  EXPECT_EQ(prepared(), (Texts{"one", "two", "three"}));
  auto written = std::filesystem::last_write_time(scratch.path / "run" / "data" / "train.bin");
  EXPECT_EQ(prepared(), (Texts{"one", "two", "three"}));
  EXPECT_EQ(std::filesystem::last_write_time(scratch.path / "run" / "data" / "train.bin"), written);
  scratch.file("a.txt", "four\n");
  EXPECT_EQ(prepared(), (Texts{"four"}));
  config.text.split = "document";
  EXPECT_EQ(prepared(), (Texts{"four\n"}));
}

TEST(RunData, WhatIsPreparedBesideLeavesTheOldDataUntilItIsAdopted) {
  Scratch scratch;
  DataConfig config;
  config.path = {scratch.file("a.txt", "one\ntwo\n")};
  config.text.val_fraction = 0;
  const auto run = scratch.path / "run", beside = scratch.path / "beside";
  prepare_run_data(config, ByteTokenizer(), run, 42);
  std::filesystem::create_directory(beside);
  const auto prepared = [&] {
    return prepare_run_data(config, ByteTokenizer(), run, 42, {}, {}, beside);
  };
  RunData same = prepared();
  EXPECT_TRUE(same.beside.empty());
  EXPECT_TRUE(std::filesystem::is_empty(beside));
  config.path = {scratch.file("b.txt", "three\n")};
  config.validation_path = scratch.file("v.txt", "four\n");
  RunData other = prepared();
  EXPECT_EQ(other.beside, beside);
  EXPECT_EQ(other.train, beside / "train");
  EXPECT_EQ(other.text(),
            (run / "data/train").string() + ", validation " + (run / "data/val").string());
  EXPECT_EQ(texts_of(run / "data/train"), (Texts{"one", "two"}));
  EXPECT_FALSE(std::filesystem::exists(run / "data/val.bin"));
  other.adopt();
  EXPECT_TRUE(other.beside.empty());
  EXPECT_EQ(other.train, run / "data/train");
  EXPECT_EQ(other.validation, run / "data/val");
  EXPECT_EQ(texts_of(other.train), (Texts{"three"}));
  EXPECT_EQ(texts_of(other.validation), (Texts{"four"}));
  EXPECT_TRUE(std::filesystem::is_empty(beside));
  EXPECT_TRUE(prepared().beside.empty());
}

TEST(RunData, OnlyTheValidationPartOfADatasetIsPreparedAndAdopted) {
  Scratch scratch;
  write_sequences(scratch.path / "set", {{10, 11}});
  DataConfig config;
  config.path = {(scratch.path / "set").string()};
  config.validation_path = scratch.file("v.txt", "four\n");
  const auto run = scratch.path / "run", beside = scratch.path / "beside";
  write_sequences(run / "data/train", {{12}});
  std::filesystem::create_directory(beside);
  RunData data = prepare_run_data(config, ByteTokenizer(), run, 42, {}, {}, beside);
  EXPECT_FALSE(std::filesystem::exists(run / "data/val.bin"));
  data.adopt();
  EXPECT_EQ(data.train, scratch.path / "set");
  EXPECT_EQ(texts_of(data.validation), (Texts{"four"}));
  EXPECT_TRUE(std::filesystem::exists(run / "data/train.bin"));
}

TEST(RunData, AValidationPartThatReplacedAnotherIsNotTakenForItsText) {
  for (const bool adopted : {false, true}) {
    SCOPED_TRACE(adopted);
    Scratch scratch;
    write_sequences(scratch.path / "set", {{10, 11}});
    DataConfig texts, set;
    texts.path = {scratch.file("a.txt", "one\n")};
    texts.validation_path = scratch.file("v.txt", "two\n");
    set.path = {(scratch.path / "set").string()};
    set.validation_path = scratch.file("w.txt", "three\n");
    const auto run = scratch.path / "run", beside = scratch.path / "beside";
    const auto prepared = [&](const DataConfig& config) {
      std::filesystem::create_directories(beside);
      RunData data = prepare_run_data(config, ByteTokenizer(), run, 42, {}, {},
                                      adopted ? beside : std::filesystem::path());
      data.adopt();
      return texts_of(data.validation);
    };
    EXPECT_EQ(prepared(texts), Texts{"two"});
    EXPECT_EQ(prepared(set), Texts{"three"});
    EXPECT_EQ(prepared(texts), Texts{"two"});
  }
}

TEST(RunData, TheRecordOfATextNamesItsFilesAndHowItIsRead) {
  Scratch scratch;
  DataConfig config;
  config.path = {scratch.file("a.txt", "one\n")};
  const nlohmann::json record = *training_text_record(config);
  EXPECT_EQ(record["files"][0][0], config.path[0]);
  EXPECT_EQ(record["files"][0][1], 4);
  EXPECT_EQ(*training_text_record(config), record);
  DataConfig other = config;
  other.text.split = "document";
  EXPECT_NE(*training_text_record(other), record);
  scratch.file("a.txt", "three\n");
  EXPECT_NE(*training_text_record(config), record);
  config.path.push_back("-");
  EXPECT_FALSE(training_text_record(config));
  DataConfig stories;
  EXPECT_EQ((*training_text_record(stories))["stories"], stories.synthetic_stories);
}

TEST(RunData, ADatasetIsUsedWhereItLiesWithTheValidationBesideIt) {
  Scratch scratch;
  write_sequences(scratch.path / "train", {{10, 11}});
  DataConfig config;
  config.path = {(scratch.path / "train.bin").string()};
  EXPECT_EQ(prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42).train,
            scratch.path / "train");
  EXPECT_TRUE(
      prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42).validation.empty());
  write_sequences(scratch.path / "val", {{10}});
  EXPECT_EQ(prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42).validation,
            scratch.path / "val");
  EXPECT_FALSE(std::filesystem::exists(scratch.path / "run"));
  expect_error(Exit::usage, "is a prepared dataset; a tokenizer is trained on text",
               [&] { training_text(config); });
}

TEST(RunData, AValidationFileOfItsOwnIsPreparedWhole) {
  Scratch scratch;
  DataConfig config;
  config.path = {scratch.file("a.txt", "one\ntwo\n")};
  config.validation_path = scratch.file("b.txt", "three\nfour\n");
  RunData data = prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42);
  EXPECT_EQ(texts_of(data.train), (Texts{"one", "two"}));
  EXPECT_EQ(texts_of(data.validation), (Texts{"three", "four"}));
}

TEST(RunData, DatasetsOfAnotherTokenizerOrInPiecesAreRefused) {
  Scratch scratch;
  write_sequences(scratch.path / "a", {{10, 11}});
  DataConfig config;
  config.path = {(scratch.path / "a").string(), (scratch.path / "b").string()};
  expect_error(Exit::usage, "must stand alone",
               [&] { prepare_run_data(config, ByteTokenizer(), scratch.path, 42); });
  TokenFileWriter writer(scratch.path / "c", std::string(64, 'a'));
  writer.append(std::vector<int32_t>{1, 2});
  writer.finish();
  config.path = {(scratch.path / "c").string()};
  expect_error(Exit::bad_input, "was made with another tokenizer",
               [&] { prepare_run_data(config, ByteTokenizer(), scratch.path, 42); });
}

TEST(RunData, TheLmsysFlagNeedsALocalCopy) {
  Scratch scratch;
  DataConfig config;
  config.use_lmsys_dataset = true;
  config.path = {(scratch.path / "absent.jsonl").string()};
  expect_error(Exit::bad_input, "absent.jsonl' is not there",
               [&] { prepare_run_data(config, ByteTokenizer(), scratch.path, 42); });
  config.path = {scratch.file(
      "l.jsonl",
      R"({"conversation_id": "a", "model": "m", "conversation": [{"content": "hi", "role": "user"}, {"content": "ho", "role": "assistant"}]})")};
  config.text.val_fraction = 0;
  EXPECT_EQ(texts_of(prepare_run_data(config, ByteTokenizer(), scratch.path, 42).train),
            (Texts{"user: hi\nassistant: ho"}));
}

TEST(RunData, TextBytesAreThoseOfTheTextWithoutControlTokens) {
  Scratch scratch;
  ByteTokenizer tokenizer;
  write_sequences(scratch.path / "x", {{1, 5 + 'a', 5 + 'b', 2}, {5 + 'c', 2}});
  EXPECT_EQ(text_bytes(TokenFile::open(scratch.path / "x"), tokenizer), 3);
}

TEST(DataConfig, EveryRowHasItsKeyAndFlag) {
  DataConfig config;
  Fields fields;
  fields.section("data", config);
  fields.apply_text(
      "data: {path: [a.txt, b.txt], split: document, val_split: tail, val_fraction: 0.1, workers: "
      "3}",
      "x.yaml");
  fields.apply_flag("data-path", "c,d.txt");
  EXPECT_EQ(config.path, (std::vector<std::string>{"c,d.txt"}));
  EXPECT_EQ(config.text.prepare_options().val_split, ValidationSplit::tail);
  EXPECT_EQ(config.text.reader_options().split, TextSplit::document);
  EXPECT_EQ(config.workers, 3);
  expect_error(Exit::usage, "sentence", [&] { fields.apply_flag("split", "sentence"); });
}

TEST(RunData, AStopLeavesNothingHalfWritten) {
  Scratch scratch;
  DataConfig config;
  config.synthetic_stories = 100;
  int asked = 0;
  const StopRequest soon = [&] { return ++asked > 3; };
  const auto prepare = [&] {
    prepare_run_data(config, ByteTokenizer(), scratch.path / "run", 42, {}, soon);
  };
  EXPECT_THROW(prepare(), Stopped);
  config.path = {scratch.file("a.txt", "one\ntwo\nthree\n")};
  asked = 3;
  EXPECT_THROW(prepare(), Stopped);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path / "run")) {
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  }
}

}  // namespace
}  // namespace llm
