#include "data/document_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/random.h"
#include "data/data_loader.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

using Ids = std::vector<int32_t>;
using Marks = std::vector<uint8_t>;

Batch read_rows(const DocumentDataset& rows, const std::vector<int64_t>& which) {
  std::vector<RowPlace> places;
  for (const int64_t row : which) {
    places.push_back({row, 0});
  }
  Batch batch;
  rows.read(places, batch);
  return batch;
}

TEST(DocumentDataset, ARowIsADocumentPaddedToTheLongestOfItsBatch) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", kSomeSha256);
  writer.append(Ids{5, 6, 2}, Marks{0, 1, 1});
  writer.append(Ids{7, 8, 9, 10, 2}, Marks{1, 0, 0, 1, 1});
  writer.append(Ids{11, 2}, Marks{0, 1});
  writer.finish();
  const DocumentDataset rows(TokenFile::open(scratch.path / "x"), {.seq_len = 16});
  ASSERT_EQ(rows.size(), 3);
  const Batch all = read_rows(rows, {1, 0});
  EXPECT_EQ(all.cols, 5);
  EXPECT_EQ(all.tokens, (AlignedVector<int64_t>{7, 8, 9, 10, 2, 5, 6, 2, 0, 0}));
  EXPECT_EQ(all.learnt, (Marks{0, 0, 0, 1, 1, 0, 1, 1, 0, 0})) << "nothing stands before a first";
  EXPECT_EQ(all.documents, (Ids{0, 0, 0, 0, 0, 0, 0, 0, kPadding, kPadding}));
  EXPECT_EQ(read_rows(rows, {2}).cols, 2) << "a batch is as wide as its rows";
}

TEST(DocumentDataset, WithoutAMaskAllButTheFirstTokenIsLearnt) {
  const Scratch scratch;
  write_sequences(scratch.path / "x", {{5, 6, 2}, {7}, {8, 9}});
  const DocumentDataset rows(TokenFile::open(scratch.path / "x"), {.seq_len = 16});
  EXPECT_EQ(rows.documents(), 2) << "one token alone teaches nothing";
  EXPECT_EQ(rows.left_out(), 1);
  EXPECT_EQ(read_rows(rows, {0}).learnt, (Marks{0, 1, 1}));
}

TEST(DocumentDataset, LongDocumentsLoseTheirEndAndThoseWithoutTargetsAreLeftOut) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", kSomeSha256);
  writer.append(Ids{5, 6, 7, 8, 9}, Marks{0, 1, 1, 1, 1});
  writer.append(Ids{5, 6, 7, 8, 9}, Marks{0, 0, 0, 0, 1});  // what is to be learnt lies behind
  writer.append(Ids{5, 6, 7}, Marks{1, 0, 0});              // only its first token
  writer.finish();
  const DocumentDataset rows(TokenFile::open(scratch.path / "x"), {.seq_len = 3});
  EXPECT_EQ(rows.documents(), 1);
  EXPECT_EQ(rows.cut_short(), 1);
  EXPECT_EQ(rows.left_out(), 2);
  EXPECT_EQ(read_rows(rows, {0}).tokens, (AlignedVector<int64_t>{5, 6, 7, 8}));
}

TEST(DocumentDataset, DataWithoutTargetsWithinARowIsRefused) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", kSomeSha256);
  writer.append(Ids{5, 6, 7, 8}, Marks{0, 0, 0, 1});
  writer.finish();
  expect_error(Exit::bad_input, "none of the 1 documents has a token to learn among its first 3",
               [&] { DocumentDataset(TokenFile::open(scratch.path / "x"), {.seq_len = 2}); });
}

/// 500 documents of 2 to 99 tokens whose ids are their own number.
void write_many(const std::filesystem::path& prefix) {
  std::vector<Ids> documents;
  for (int32_t i = 0; i < 500; ++i) {
    documents.push_back(Ids(2 + mix64(static_cast<uint64_t>(i)) % 98, 10 + i));
  }
  write_sequences(prefix, documents);
}

TEST(DocumentDataset, PackingHoldsEveryDocumentOnceAndWastesLittle) {
  const Scratch scratch;
  write_many(scratch.path / "x");
  const DocumentDataset rows(TokenFile::open(scratch.path / "x"), {.seq_len = 255, .packed = true});
  std::multiset<int64_t> seen;
  for (int64_t r = 0; r < rows.size(); ++r) {
    int64_t tokens = 0;
    for (const int64_t document : rows.row(r)) {
      seen.insert(document);
      tokens += rows.file().first_token(document + 1) - rows.file().first_token(document);
    }
    EXPECT_LE(tokens, 256);
  }
  EXPECT_EQ(seen.size(), 500u);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 500u);
  const double filled =
      static_cast<double>(rows.file().tokens()) / (256.0 * static_cast<double>(rows.size()));
  EXPECT_GT(filled, 0.98) << rows.size();
}

TEST(DocumentDataset, DocumentsOfAPackedRowAreNumbered) {
  const Scratch scratch;
  write_sequences(scratch.path / "x", {{5, 6}, {7, 8, 9}, {10, 11, 12, 13}});
  const DocumentDataset rows(TokenFile::open(scratch.path / "x"), {.seq_len = 5, .packed = true});
  ASSERT_EQ(rows.size(), 2);  // 4 + 2 fill one row of six, 3 stands alone
  const Batch batch = read_rows(rows, {0, 1});
  EXPECT_EQ(batch.tokens, (AlignedVector<int64_t>{10, 11, 12, 13, 5, 6, 7, 8, 9, 0, 0, 0}));
  EXPECT_EQ(batch.documents, (Ids{0, 0, 0, 0, 1, 1, 0, 0, 0, kPadding, kPadding, kPadding}));
  EXPECT_EQ(batch.learnt, (Marks{0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0}));
}

TEST(DocumentDataset, ALoaderShowsEveryRowOncePerEpoch) {
  const Scratch scratch;
  write_many(scratch.path / "x");
  for (const bool packed : {false, true}) {
    DataLoader loader(std::make_unique<DocumentDataset>(
                          TokenFile::open(scratch.path / "x"),
                          DocumentDataset::Options{.seq_len = 128, .packed = packed}),
                      {.seed = 5, .rows_per_step = 1, .shift_windows = true});
    std::vector<int64_t> first, second;
    for (int64_t step = 0; step < 2 * loader.rows_per_epoch(); ++step) {
      (step < loader.rows_per_epoch() ? first : second).push_back(loader.source_row(step, 0));
    }
    EXPECT_NE(first, second);
    std::vector<int64_t> all(first.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_TRUE(std::is_permutation(first.begin(), first.end(), all.begin(), all.end()));
    EXPECT_TRUE(std::is_permutation(second.begin(), second.end(), all.begin(), all.end()));
  }
}

TEST(DocumentDataset, ThreadsChangeNothing) {
  const Scratch scratch;
  write_many(scratch.path / "x");
  const auto loader_with = [&](int64_t workers) {
    return std::make_unique<DataLoader>(
        std::make_unique<DocumentDataset>(TokenFile::open(scratch.path / "x"),
                                          DocumentDataset::Options{.seq_len = 64, .packed = true}),
        DataLoaderOptions{.seed = 5, .rows_per_step = 6, .workers = workers});
  };
  const auto alone = loader_with(0), threaded = loader_with(2);
  for (int64_t step = 0; step < 40; ++step) {
    for (const int64_t row : {0, 3}) {
      const Batch a = alone->rows(step, row, 3), b = threaded->rows(step, row, 3);
      ASSERT_EQ(a.tokens, b.tokens);
      ASSERT_EQ(a.learnt, b.learnt);
      ASSERT_EQ(a.documents, b.documents);
    }
  }
}

}  // namespace
}  // namespace llm
