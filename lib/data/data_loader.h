// Rows for training steps. Row r of step s is a pure function of (seed, s, r): row number g = s *
// rows_per_step + r lies in epoch g / n at place g % n, and the window is Permutation(n, key(seed,
// epoch))(place). A row is whatever the source makes of its number: a window of a packed stream, or
// documents. Nothing is consumed, so a position is a step number: a resumed run needs no
// replay, and the rows of a step do not depend on how they are split into micro batches or ranks.
// The last, incomplete step of an epoch runs on into the next epoch.
//
// Prefetch: with workers > 0, threads prepare the requests that will probably follow (the loader
// learns the pattern within a step) while the caller computes. They change when a batch is ready,
// never what is in it. rows() may be called from one thread at a time; rows_into is const,
// thread-safe and inline.
#pragma once

#include <cstdint>
#include <memory>

#include "base/random.h"
#include "data/row_source.h"

namespace llm {

struct DataLoaderOptions {
  uint64_t seed = 0;
  int64_t rows_per_step = 1;   // over all ranks and micro batches
  bool shuffle = true;         // false: rows in the order of the source, for validation
  bool shift_windows = false;  // each epoch after the first cuts its windows at another offset;
                               // costs at most one window per epoch
  int64_t workers = 0;         // threads; 0 = inline
  int64_t depth = 4;           // requests prepared ahead
};

class Prefetcher;

class DataLoader {
 public:
  DataLoader(std::unique_ptr<const RowSource> source, DataLoaderOptions options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Rows [first_row, first_row + count) of `step`, 0 <= first_row, first_row + count <=
  /// rows_per_step.
  Batch rows(int64_t step, int64_t first_row, int64_t count);
  /// The same into a batch whose memory is used again, computed in the calling thread.
  void rows_into(int64_t step, int64_t first_row, int64_t count, Batch& batch) const;

  const RowSource& source() const { return *source_; }
  const DataLoaderOptions& options() const { return options_; }
  int64_t rows_per_epoch() const { return rows_; }
  /// The row of the source that row `row` of `step` takes.
  int64_t source_row(int64_t step, int64_t row) const;
  /// Epochs finished before `step` starts, with the fraction of the running one: step *
  /// rows_per_step / rows_per_epoch.
  double epoch_at(int64_t step) const;
  /// The epoch (0-based) of the first row of `step`.
  int64_t epoch_of(int64_t step) const;
  /// Steps until `epochs` passes are complete, rounded up.
  int64_t steps_for_epochs(double epochs) const;
  int64_t steps_per_epoch() const { return steps_for_epochs(1); }

 private:
  struct Place {
    uint64_t epoch;
    uint64_t index;  // within the epoch, before shuffling
  };
  Place place_of(int64_t step, int64_t row) const;
  Permutation order_of(uint64_t epoch) const;
  int64_t shift_of(uint64_t epoch) const;

  std::unique_ptr<const RowSource> source_;
  DataLoaderOptions options_;
  int64_t rows_ = 0;  // per epoch
  std::unique_ptr<Prefetcher> prefetcher_;
};

}  // namespace llm
