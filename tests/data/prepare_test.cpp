#include "data/prepare.h"

#include <gtest/gtest.h>

#include "data/encode_chunk.h"
#include "data/ordered_workers.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

std::vector<std::string> documents_of(const std::filesystem::path& prefix) {
  ByteTokenizer tokenizer;
  TokenFile file = TokenFile::open(prefix, {tokenizer.sha256(), tokenizer.vocab_size()});
  std::vector<std::string> texts;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    auto ids = file.sequence(s);
    texts.push_back(tokenizer.decode(ids) + (ids.back() == 2 ? "$" : ""));
  }
  return texts;
}

PrepareOptions options_for(const Scratch& scratch, const std::vector<std::string>& inputs) {
  PrepareOptions options;
  options.inputs = inputs;
  options.output = scratch.path / "out" / "train";
  options.workers = 2;
  return options;
}

std::string many_rows(int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += "{\"text\": \"row " + std::to_string(i) +
            std::string(static_cast<size_t>(i * 7919 % 331), 'x') + "\"}\n";
  }
  return rows;
}

using Texts = std::vector<std::string>;

TEST(Prepare, EachDocumentBecomesOneSequenceThatEndsInEos) {
  Scratch scratch;
  PrepareResult result =
      prepare_data(options_for(scratch, {scratch.file("a.txt", "one\n\ntwo\n"),
                                         scratch.file("b.jsonl", "{\"text\": \"three\"}\n")}),
                   ByteTokenizer());
  EXPECT_EQ(documents_of(scratch.path / "out" / "train"), (Texts{"one$", "two$", "three$"}));
  EXPECT_EQ(result.train.documents, 3);
  EXPECT_EQ(result.train.tokens, 3 + 3 + 5 + 3);
  EXPECT_EQ(result.train.text_bytes, 11);
  EXPECT_TRUE(result.val.prefix.empty());
}

TEST(Prepare, ADocumentBeginsWithBosWhereAsked) {
  Scratch scratch;
  PrepareOptions options = options_for(scratch, {scratch.file("a.txt", "ab\n")});
  options.add_bos = true;
  prepare_data(options, ByteTokenizer());
  TokenFile file = TokenFile::open(options.output);
  auto ids = file.sequence(0);
  EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.end()),
            (std::vector<int32_t>{1, 5 + 'a', 5 + 'b', 2}));
}

TEST(Prepare, TheFilesAreTheSameBytesForAnyNumberOfWorkers) {
  Scratch scratch;
  std::string rows = scratch.file("rows.jsonl", many_rows(6000));
  std::string text = scratch.file("text.txt", std::string(300'000, 'y') + "\nlast line\n");
  std::string expected[4];
  for (int64_t workers : {1, 2, 3, 8}) {
    PrepareOptions options = options_for(scratch, {rows, text});
    options.output = scratch.path / std::to_string(workers) / "train";
    options.workers = workers;
    options.val_fraction = 0.1;
    options.reader.piece_bytes = 4096;
    prepare_data(options, ByteTokenizer());
    int part = 0;
    for (const char* name : {"train.bin", "train.index", "val.bin", "val.index"}) {
      std::string bytes = content_of(scratch.path / std::to_string(workers) / name);
      EXPECT_FALSE(bytes.empty());
      if (workers == 1) {
        expected[part] = bytes;
      }
      EXPECT_TRUE(bytes == expected[part]) << workers << " workers, " << name;
      part += 1;
    }
    EXPECT_NO_THROW(verify_token_file(options.output));
  }
}

TEST(Prepare, ALongDocumentInManyPiecesIsOneSequence) {
  Scratch scratch;
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "line " + std::to_string(i) + "\n";
  }
  PrepareOptions options = options_for(scratch, {scratch.file("a.txt", text)});
  options.reader.split = TextSplit::document;
  options.reader.piece_bytes = 1000;
  prepare_data(options, ByteTokenizer());
  EXPECT_EQ(documents_of(options.output), (Texts{text + "$"}));
}

TEST(Prepare, HashSplitKeepsADocumentOnItsSideWhateverSurroundsIt) {
  Scratch scratch;
  std::string rows = many_rows(2000);
  PrepareOptions options = options_for(scratch, {scratch.file("a.jsonl", rows)});
  options.val_fraction = 0.25;
  PrepareResult result = prepare_data(options, ByteTokenizer());
  EXPECT_EQ(result.train.documents + result.val.documents, 2000);
  EXPECT_NEAR(static_cast<double>(result.val.documents), 500, 70);
  Texts val = documents_of(scratch.path / "out" / "val");
  std::string more = "{\"text\": \"a row in front\"}\n" + rows;
  options.inputs = {scratch.file("b.jsonl", more)};
  prepare_data(options, ByteTokenizer());
  Texts later = documents_of(scratch.path / "out" / "val");
  std::erase(later, "a row in front$");
  EXPECT_EQ(later, val);
  options.seed = 1;
  prepare_data(options, ByteTokenizer());
  EXPECT_NE(documents_of(scratch.path / "out" / "val"), val);
}

TEST(Prepare, TheRankOfADocumentNeverChanges) {
  EXPECT_DOUBLE_EQ(document_rank(0, "Once there was"),
                   document_rank(0, std::string("Once there was")));
  EXPECT_NE(document_rank(0, "a"), document_rank(0, std::string("a\0", 2)));
  EXPECT_NE(document_rank(0, "a"), document_rank(1, "a"));
  double mean = 0;
  for (int i = 0; i < 4000; ++i) {
    mean += document_rank(7, "document " + std::to_string(i)) / 4000;
  }
  EXPECT_NEAR(mean, 0.5, 0.02);
}

TEST(Prepare, TailSplitCutsOneDocumentWhereItMust) {
  Scratch scratch;
  std::string text;
  for (int i = 0; text.size() < 10'000; ++i) {
    text += "line " + std::to_string(i) + "\n";
  }
  text.resize(10'000);
  for (int64_t piece : {1000, 777, 100'000}) {
    PrepareOptions options = options_for(scratch, {scratch.file("a.txt", text)});
    options.reader.split = TextSplit::document;
    options.reader.piece_bytes = piece;
    options.val_fraction = 0.1;
    options.val_split = ValidationSplit::tail;
    PrepareResult result = prepare_data(options, ByteTokenizer());
    EXPECT_EQ(documents_of(options.output), (Texts{text.substr(0, 9000)})) << piece;
    EXPECT_EQ(documents_of(scratch.path / "out" / "val"), (Texts{text.substr(9000) + "$"}))
        << piece;
    EXPECT_EQ(result.train.tokens, 9000);
    EXPECT_EQ(result.val.tokens, 1001);
  }
}

TEST(Prepare, TailSplitNeverTearsACharacterAndMovesWholeLinesOtherwise) {
  Scratch scratch;
  PrepareOptions options =
      options_for(scratch, {scratch.file("a.txt", "ab\xE2\x82\xAC\xE2\x82\xAC")});
  options.val_fraction = 0.5;  // byte 4 lies inside the first euro
  options.val_split = ValidationSplit::tail;
  options.reader.split = TextSplit::document;
  prepare_data(options, ByteTokenizer());
  EXPECT_EQ(documents_of(options.output), (Texts{"ab"}));
  EXPECT_EQ(documents_of(scratch.path / "out" / "val"), (Texts{"\xE2\x82\xAC\xE2\x82\xAC$"}));

  options.inputs = {scratch.file("b.txt", "aaaa\nbbbb\ncccc\ndddd\n")};
  options.reader.split = TextSplit::line;
  options.val_fraction = 0.4;  // byte 12 lies inside the third line, which stays whole
  prepare_data(options, ByteTokenizer());
  EXPECT_EQ(documents_of(options.output), (Texts{"aaaa$", "bbbb$", "cccc$"}));
  EXPECT_EQ(documents_of(scratch.path / "out" / "val"), (Texts{"dddd$"}));
}

TEST(Prepare, ValidationLiesBesideTraining) {
  EXPECT_EQ(validation_prefix("a/train"), "a/val");
  EXPECT_EQ(validation_prefix("train/pretrain"), "train/preval");
  EXPECT_EQ(validation_prefix("data/corpus"), "data/corpus-val");
}

/// 40 rows, of which the hash puts some aside where a fraction asks for it.
PrepareOptions options_with_rows(const Scratch& scratch, double val_fraction) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "row " + std::to_string(i) + "\n";
  PrepareOptions options = options_for(scratch, {scratch.file("rows.txt", text)});
  options.val_fraction = val_fraction;
  return options;
}

TEST(Prepare, WhatAnEarlierRunSplitOffDoesNotStayBesideAllOfTheText) {
  Scratch scratch;
  const std::filesystem::path val = scratch.path / "out" / "val";
  PrepareOptions options = options_with_rows(scratch, 0.3);
  EXPECT_EQ(prepare_data(options, ByteTokenizer()).val.prefix, val);
  EXPECT_TRUE(std::filesystem::exists(val.string() + ".split"));
  options.val_fraction = 0;
  EXPECT_EQ(prepare_data(options, ByteTokenizer()).train.documents, 40);
  for (const char* suffix : {".bin", ".index", ".sum", ".split"}) {
    EXPECT_FALSE(std::filesystem::exists(val.string() + suffix)) << suffix;
  }
  // A fraction that no document falls into is no other case.
  options.val_fraction = 0.3;
  prepare_data(options, ByteTokenizer());
  options.inputs = {scratch.file("one.txt", "one\n")};
  options.val_fraction = 1e-9;
  EXPECT_TRUE(prepare_data(options, ByteTokenizer()).val.prefix.empty());
  EXPECT_FALSE(is_token_file(val));
}

TEST(Prepare, AValidationSetOfItsOwnStays) {
  Scratch scratch;
  const std::filesystem::path val = scratch.path / "out" / "val";
  // Split off once, then prepared by itself: the mark of the split goes with it.
  PrepareOptions options = options_with_rows(scratch, 0.3);
  prepare_data(options, ByteTokenizer());
  PrepareOptions own = options_for(scratch, {scratch.file("own.txt", "mine\n")});
  own.output = val;
  prepare_data(own, ByteTokenizer());
  EXPECT_FALSE(std::filesystem::exists(val.string() + ".split"));
  options.val_fraction = 0;
  testing::internal::CaptureStderr();
  prepare_data(options, ByteTokenizer());
  EXPECT_NE(testing::internal::GetCapturedStderr().find("is not from this run"), std::string::npos);
  EXPECT_EQ(documents_of(val), (Texts{"mine$"}));

  // Split off, then replaced by hand: its index is not the one that was split off.
  options.val_fraction = 0.3;
  prepare_data(options, ByteTokenizer());
  own.output = scratch.path / "other";
  prepare_data(own, ByteTokenizer());
  for (const char* suffix : {".bin", ".index", ".sum"}) {
    std::filesystem::copy_file(own.output.string() + suffix, val.string() + suffix,
                               std::filesystem::copy_options::overwrite_existing);
  }
  options.val_fraction = 0;
  prepare_data(options, ByteTokenizer());
  EXPECT_EQ(documents_of(val), (Texts{"mine$"}));
}

TEST(Prepare, ABadRowEndsItWithNothingLeftBehind) {
  Scratch scratch;
  std::string rows = many_rows(3000) + "{\"text\": 5}\n" + many_rows(3000) + "{\"title\": 1}\n";
  PrepareOptions options = options_for(scratch, {scratch.file("a.jsonl", rows)});
  options.output = scratch.path / "new" / "folder" / "train";
  for (int64_t workers : {1, 4}) {  // the first error of the input, whoever meets one first
    options.workers = workers;
    expect_error(Exit::bad_input, "a.jsonl:3001: \"text\" must be a string",
                 [&] { prepare_data(options, ByteTokenizer()); });
    EXPECT_FALSE(std::filesystem::exists(scratch.path / "new"));
  }
  options.reader.skip_bad = true;
  PrepareResult result = prepare_data(options, ByteTokenizer());
  EXPECT_EQ(result.skipped_rows, 2);
  EXPECT_EQ(result.train.documents, 6000);
  EXPECT_NE(result.first_bad_row.find("a.jsonl:3001"), std::string::npos);
}

TEST(Prepare, AFailedRunKeepsTheFormerFiles) {
  Scratch scratch;
  PrepareOptions options = options_for(scratch, {scratch.file("a.txt", "good\n")});
  prepare_data(options, ByteTokenizer());
  options.inputs = {scratch.file("b.txt", std::string(500'000, 'a') + "\n\xff\n")};
  expect_error(Exit::bad_input, "invalid UTF-8 at byte 500001",
               [&] { prepare_data(options, ByteTokenizer()); });
  EXPECT_EQ(documents_of(options.output), (Texts{"good$"}));
}

TEST(Prepare, InputWithoutTextIsRefused) {
  Scratch scratch;
  PrepareOptions options = options_for(scratch, {scratch.file("a.txt", "\n\n")});
  expect_error(Exit::bad_input, "dataset has 0 tokens",
               [&] { prepare_data(options, ByteTokenizer()); });
  EXPECT_FALSE(std::filesystem::exists(scratch.path / "out"));
  options.inputs = {scratch.file("b.jsonl", "{\"text\": \"\"}\n")};
  expect_error(Exit::bad_input, "dataset has 0 tokens",
               [&] { prepare_data(options, ByteTokenizer()); });
}

TEST(Prepare, AStopRequestEndsItWithoutFiles) {
  Scratch scratch;
  PrepareOptions options = options_for(scratch, {scratch.file("a.jsonl", many_rows(5000))});
  int asked = 0;
  options.stop_requested = [&] { return ++asked > 3; };
  EXPECT_TRUE(prepare_data(options, ByteTokenizer()).stopped);
  EXPECT_FALSE(std::filesystem::exists(scratch.path / "out"));
}

TEST(OrderedWorkers, ResultsComeInOrderAndTheFirstErrorWins) {
  for (int64_t threads : {1, 2, 7}) {
    OrderedWorkers<int, int> workers;
    std::vector<int> results;
    int next = 0;
    workers.take = [&](int& input) { return (input = next++) < 500; };
    workers.work = [](int&& input) {
      if (input == 300 || input == 301) {
        fail(Exit::bad_input, std::to_string(input));
      }
      return input * 2;
    };
    workers.put = [&](int&& output) { results.push_back(output); };
    expect_error(Exit::bad_input, "300", [&] { workers.run(threads); });
    ASSERT_EQ(results.size(), 300u);
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(results[static_cast<size_t>(i)], 2 * i);
    }
  }
}

}  // namespace
}  // namespace llm
