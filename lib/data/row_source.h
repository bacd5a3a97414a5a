// Where a loader's rows come from, and the batch that they make.
//
// A row is a fixed number of consecutive tokens of a packed stream (packed_dataset.h), or whole
// documents (document_dataset.h). Implementations are const and thread-safe.
#pragma once

#include <cstdint>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "data/token_file.h"

namespace llm {

/// int64 storage that is 64-byte aligned and not zeroed first.
template <typename T>
struct UninitializedAligned {
  using value_type = T;
  UninitializedAligned() = default;
  template <typename U>
  UninitializedAligned(const UninitializedAligned<U>&) {}
  T* allocate(size_t n) {
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* p, size_t) { ::operator delete (p, std::align_val_t{64}); }
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

/// Everything is (rows, cols) row-major. A row's inputs are its tokens but the last, its targets
/// its tokens but the first.
struct Batch {
  int64_t rows = 0;
  int64_t cols = 0;
  AlignedVector<int64_t> tokens{};
  std::vector<uint8_t> learnt{};     // 0: not to be learnt; empty: all are
  std::vector<int32_t> documents{};  // which text of its row a token belongs to, 0, 1, 2 ..., and
                                     // kPadding behind the last; empty: a row is one text
};
inline constexpr int32_t kPadding = -1;

/// Row `index`, moved right by `shift` tokens.
struct RowPlace {
  int64_t index = 0;
  int64_t shift = 0;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual const TokenFile& file() const = 0;
  /// Rows of one pass.
  virtual int64_t size() const = 0;
  /// Targets of the longest row; cols is at most one more.
  virtual int64_t seq_len() const = 0;
  /// Rows that can be moved by any shift below seq_len, at least 1.
  virtual int64_t shiftable_size() const = 0;
  /// The largest shift at which the first `rows` rows can be read.
  virtual int64_t max_shift(int64_t rows) const = 0;
  /// Reads rows into `batch`, whose memory is used again.
  virtual void read(std::span<const RowPlace> places, Batch& batch) const = 0;
};

}  // namespace llm
