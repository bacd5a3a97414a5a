// Rows for training steps. Row r of step s is a pure function of (seed, s, r): row number g = s *
// rows_per_step + r lies in epoch g / n at place g % n, and the window is Permutation(n, key(seed,
// epoch))(place). Nothing is consumed, so a position is a step number: a resumed run needs no
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
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "data/packed_dataset.h"

namespace llm {

/// int64 storage that is 64-byte aligned and not zeroed first.
template <typename T>
struct UninitializedAligned {
  using value_type = T;
  UninitializedAligned() = default;
  template <typename U>
  UninitializedAligned(const UninitializedAligned<U>&) {}
  T* allocate(size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t{64}); }
  template <typename U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <typename U, typename... Args>
  void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
  }
  bool operator==(const UninitializedAligned&) const { return true; }
};
template <typename T>
using AlignedVector = std::vector<T, UninitializedAligned<T>>;

/// tokens is (rows, cols) row-major; cols = seq_len + 1.
struct Batch {
  int64_t rows = 0;
  int64_t cols = 0;
  AlignedVector<int64_t> tokens;
};

struct DataLoaderOptions {
  uint64_t seed = 0;
  int64_t rows_per_step = 1;   // over all ranks and micro batches
  bool shuffle = true;         // false: windows in file order, for validation
  bool shift_windows = false;  // each epoch after the first cuts its windows at another offset;
                               // costs at most one window per epoch
  int64_t workers = 0;         // threads; 0 = inline
  int64_t depth = 4;           // requests prepared ahead
};

class Prefetcher;

class DataLoader {
 public:
  DataLoader(PackedDataset dataset, DataLoaderOptions options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Rows [first_row, first_row + count) of `step`, 0 <= first_row, first_row + count <=
  /// rows_per_step.
  Batch rows(int64_t step, int64_t first_row, int64_t count);
  /// The same into the caller's memory (count * (seq_len + 1) values), computed in the calling
  /// thread.
  void rows_into(int64_t step, int64_t first_row, int64_t count, std::span<int64_t> out) const;

  const PackedDataset& dataset() const { return dataset_; }
  const DataLoaderOptions& options() const { return options_; }
  int64_t rows_per_epoch() const { return windows_; }
  /// The window that row `row` of `step` takes.
  int64_t window_of(int64_t step, int64_t row) const;
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
  Batch computed(int64_t step, int64_t first_row, int64_t count) const;

  PackedDataset dataset_;
  DataLoaderOptions options_;
  int64_t windows_ = 0;  // per epoch
  std::unique_ptr<Prefetcher> prefetcher_;
};

}  // namespace llm
