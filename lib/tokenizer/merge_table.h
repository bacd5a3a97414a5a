// The merges of a BPE vocabulary as a table of pairs of symbols, and the merging of a word with it.
//
// A symbol is a number, at least 0: a piece's id, or a character that is no piece. Merging joins,
// of all neighbours that have a merge, the pair of the lowest rank (of equal ones the leftmost)
// until none has one. Short words are scanned, long ones go through a heap: n log n for any text.
// Const and thread-safe once filled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace llm {

inline constexpr int32_t kNeverMerged = std::numeric_limits<int32_t>::max();

struct Merge {
  int32_t rank = kNeverMerged;  // 0 = first
  int32_t piece = -1;
};

/// (left symbol, right symbol) -> Merge. Open addressing, at most half full.
class MergeTable {
 public:
  MergeTable() { reserve(0); }
  /// Room for so many pairs; empties the table.
  void reserve(size_t merges);
  /// A pair that is there already stays as it is.
  void insert(int32_t left, int32_t right, Merge merge);

  Merge find(int32_t left, int32_t right) const {
    if (left < 0 || right < 0) return {};
    for (size_t at = place(left, right);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.left == left && slot.right == right) return slot.merge;
      if (slot.left < 0) return {};
    }
  }

  /// Merges the symbols in place and returns how many are left. Negative symbols merge with
  /// nothing. At most 2^31 - 1 symbols.
  size_t merge_all(int32_t* symbols, size_t count) const;

 private:
  struct Slot {
    int32_t left = -1, right = -1;
    Merge merge;
  };
  size_t place(int32_t left, int32_t right) const {
    const uint64_t pair =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    return (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15ull >> shift_;
  }
  size_t merge_short(int32_t* symbols, size_t count) const;
  size_t merge_long(int32_t* symbols, size_t count) const;

  std::vector<Slot> slots_;
  int shift_ = 63;
};

}  // namespace llm
