#include "data/data_loader.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <thread>

#include "base/random.h"
#include "data/packed_dataset.h"
#include "data/prefetcher.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

/// Token i of the stream is i, in sequences of odd lengths.
PackedDataset counting_dataset(const Scratch& scratch, int64_t tokens, int64_t seq_len) {
  std::vector<std::vector<int32_t>> sequences;
  int32_t next = 0;
  for (int64_t length = 1; next < tokens; length = length % 13 + 1) {
    auto& ids =
        sequences.emplace_back(static_cast<size_t>(std::min<int64_t>(length, tokens - next)));
    std::iota(ids.begin(), ids.end(), next);
    next += static_cast<int32_t>(ids.size());
  }
  write_sequences(scratch.path / "x", sequences);
  return PackedDataset(TokenFile::open(scratch.path / "x"), seq_len);
}

std::unique_ptr<const RowSource> counting_rows(const Scratch& scratch, int64_t tokens,
                                               int64_t seq_len) {
  return std::make_unique<PackedDataset>(counting_dataset(scratch, tokens, seq_len));
}

TEST(PackedDataset, WindowsRunAcrossDocumentsAndShareOneToken) {
  Scratch scratch;
  PackedDataset dataset = counting_dataset(scratch, 100, 8);
  EXPECT_EQ(dataset.size(), 12);  // 12 * 8 + 1 = 97
  std::vector<int64_t> window(9);
  for (int64_t w = 0; w < dataset.size(); ++w) {
    dataset.copy_window(w, window);
    for (int64_t i = 0; i < 9; ++i) {
      ASSERT_EQ(window[static_cast<size_t>(i)], w * 8 + i);
    }
  }
  EXPECT_EQ(dataset.max_shift(12), 3);
  for (int64_t shift : {0, 3}) {
    const std::vector<int64_t> order{11, 0, 7, 7, 3};
    std::vector<int64_t> together(5 * window.size());
    dataset.copy_windows(order, together, shift);
    for (size_t i = 0; i < order.size(); ++i) {
      dataset.copy_window(order[i], window, shift);
      EXPECT_TRUE(std::equal(window.begin(), window.end(), together.data() + i * window.size()));
    }
  }
  expect_error(Exit::usage, "window 12 of 12", [&] {
    std::vector<int64_t> room(window.size());
    dataset.copy_windows(std::vector<int64_t>{12}, room);
  });
  dataset.copy_window(11, window, 3);
  EXPECT_EQ(window.back(), 99);
  expect_error(Exit::usage, "window 12 of 12", [&] { dataset.copy_window(12, window); });
  expect_error(Exit::usage, "tokens", [&] { dataset.copy_window(11, window, 4); });
}

TEST(PackedDataset, TooFewTokensSayHowManyAreDue) {
  Scratch scratch;
  expect_error(Exit::bad_input, "300 tokens, need at least 1025 for seq_len 1024",
               [&] { counting_dataset(scratch, 300, 1024); });
  EXPECT_EQ(counting_dataset(scratch, 1025, 1024).size(), 1);
}

TEST(DataLoader, AnEpochVisitsEveryWindowOnceInAnotherOrderThanTheLast) {
  Scratch scratch;
  DataLoader loader(counting_rows(scratch, 1000, 8),
                    {.seed = 3, .rows_per_step = 5});  // 124 windows: an epoch ends inside a step
  std::vector<int64_t> order;
  for (int64_t step = 0; step < 50; ++step) {
    for (int64_t row = 0; row < 5; ++row) {
      order.push_back(loader.source_row(step, row));
    }
  }
  std::vector<int64_t> first(order.begin(), order.begin() + 124),
      second(order.begin() + 124, order.begin() + 248);
  EXPECT_NE(first, second);
  for (const auto& epoch : {first, second}) {
    EXPECT_EQ(std::set<int64_t>(epoch.begin(), epoch.end()).size(), 124u);
  }
}

TEST(DataLoader, RowsAreAFunctionOfSeedStepAndRowAlone) {
  Scratch scratch;
  DataLoader whole(counting_rows(scratch, 1000, 8), {.seed = 3, .rows_per_step = 12});
  for (int64_t step : {7, 0, 99, 10, 11}) {  // any order: nothing is consumed
    Batch all = whole.rows(step, 0, 12);
    EXPECT_EQ(all.rows, 12);
    EXPECT_EQ(all.cols, 9);
    for (int64_t micro : {1, 2, 3, 4, 6}) {
      DataLoader split(counting_rows(scratch, 1000, 8), {.seed = 3, .rows_per_step = 12});
      AlignedVector<int64_t> joined;
      for (int64_t row = 0; row < 12; row += micro) {
        Batch part = split.rows(step, row, micro);
        joined.insert(joined.end(), part.tokens.begin(), part.tokens.end());
      }
      EXPECT_EQ(joined, all.tokens) << step << " " << micro;
    }
  }
  DataLoader other(counting_rows(scratch, 1000, 8), {.seed = 4, .rows_per_step = 12});
  EXPECT_NE(other.rows(7, 0, 12).tokens, whole.rows(7, 0, 12).tokens);
}

TEST(DataLoader, AnyNumberOfThreadsGivesTheSameBatches) {
  Scratch scratch;
  DataLoader alone(counting_rows(scratch, 3000, 8), {.seed = 9, .rows_per_step = 12});
  for (int64_t workers : {1, 2, 4, 5}) {
    DataLoader threaded(counting_rows(scratch, 3000, 8),
                        {.seed = 9, .rows_per_step = 12, .workers = workers});
    for (int64_t step = 0; step < 60; ++step) {
      for (int64_t row : {0, 4, 8}) {
        ASSERT_EQ(threaded.rows(step, row, 4).tokens, alone.rows(step, row, 4).tokens)
            << workers << " " << step;
      }
    }
    ASSERT_EQ(threaded.rows(5, 1, 3).tokens,
              alone.rows(5, 1, 3).tokens);  // a jump back, to a shape never asked for
  }
}

TEST(DataLoader, TheSequentialOrderIsTheFile) {
  Scratch scratch;
  DataLoader loader(counting_rows(scratch, 100, 8), {.rows_per_step = 4, .shuffle = false});
  EXPECT_EQ(loader.rows(0, 0, 4).tokens.front(), 0);
  EXPECT_EQ(loader.rows(2, 3, 1).tokens.front(), 88);
  EXPECT_EQ(loader.rows(3, 0, 1).tokens.front(), 0);
}

TEST(DataLoader, EpochsAndStepsAreCountedExactly) {
  Scratch scratch;
  DataLoader loader(counting_rows(scratch, 801, 8), {.rows_per_step = 30});  // 100 windows
  EXPECT_EQ(loader.steps_per_epoch(), 4);
  EXPECT_EQ(loader.steps_for_epochs(3), 10);
  EXPECT_EQ(loader.steps_for_epochs(0.3), 1);
  EXPECT_EQ(loader.epoch_of(3), 0);
  EXPECT_EQ(loader.epoch_of(4), 1);
  EXPECT_DOUBLE_EQ(loader.epoch_at(5), 1.5);
  EXPECT_EQ(loader.epoch_of(int64_t{1} << 62),
            static_cast<int64_t>((static_cast<unsigned __int128>(1) << 62) * 30 / 100));
}

TEST(DataLoader, ShiftedEpochsCutElsewhereAndStayInside) {
  Scratch scratch;
  DataLoader loader(counting_rows(scratch, 801, 8),
                    {.seed = 1, .rows_per_step = 9, .shift_windows = true});
  ASSERT_EQ(loader.rows_per_epoch(), 99);
  std::set<int64_t> offsets;
  for (int64_t step = 0; step < 11 * 40; ++step) {
    Batch batch = loader.rows(step, 0, 9);
    for (int64_t row = 0; row < 9; ++row) {
      int64_t offset = batch.tokens[static_cast<size_t>(row * 9)] % 8;
      EXPECT_EQ(offset == 0 || step >= 11, true) << "the first epoch is not shifted";
      offsets.insert(offset);
    }
  }
  EXPECT_EQ(offsets.size(), 8u);
  EXPECT_EQ(DataLoader(counting_rows(scratch, 9, 8), {.shift_windows = true}).rows_per_epoch(), 1);
}

TEST(DataLoader, RowsOutsideAStepAreRefused) {
  Scratch scratch;
  DataLoader loader(counting_rows(scratch, 100, 8), {.rows_per_step = 4});
  expect_error(Exit::usage, "a step has 4 rows", [&] { loader.rows(0, 2, 3); });
  expect_error(Exit::usage, "a step has 4 rows", [&] { loader.rows(-1, 0, 1); });
  expect_error(Exit::usage, "a step has 4 rows", [&] { loader.rows(0, 0, 5); });
  expect_error(Exit::usage, "workers must be",
               [&] { DataLoader(counting_rows(scratch, 100, 8), {.workers = 1000}); });
}

TEST(DataLoader, ABadIdSurfacesInTheThreadThatAsks) {
  Scratch scratch;
  write_sequences(scratch.path / "x", {std::vector<int32_t>(64, 7)});
  for (int64_t workers : {0, 2}) {
    DataLoader loader(
        std::make_unique<PackedDataset>(TokenFile::open(scratch.path / "x", {"", 5}), 8),
        {.rows_per_step = 2, .workers = workers});
    for (int64_t step = 0; step < 4; ++step) {
      expect_error(Exit::bad_input, "token 7 at index", [&] { loader.rows(step, 0, 2); });
    }
  }
}

TEST(Prefetcher, LearnsThePatternOfAStep) {
  auto fill = [](const BatchRequest& request) {
    return Batch{request.count, 1,
                 AlignedVector<int64_t>(1, request.step * 100 + request.first_row)};
  };
  Prefetcher prefetcher(fill, 16, 2, 4);
  int64_t requests = 0;
  for (int64_t step = 0; step < 30; ++step) {
    for (int64_t row : {4, 12}) {  // the rows of one of two ranks
      EXPECT_EQ(prefetcher.get({step, row, 4}).tokens[0], step * 100 + row);
      requests += 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_GE(prefetcher.hits(), requests - 10);
}

}  // namespace
}  // namespace llm
