// A read-only prefix tree over texts.
//
// Nodes are numbered level by level, so the children of a node are neighbours and a node costs nine
// bytes: where its edges begin, the byte that leads to it, its value. Const and thread-safe after
// construction.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace llm {

class ByteTrie {
 public:
  using Entry = std::pair<std::string_view, int32_t>;  // a non-empty text and its value, at least 0

  ByteTrie() : ByteTrie(std::vector<Entry>{}) {}
  /// Of equal texts the smallest value stays.
  explicit ByteTrie(std::vector<Entry> entries);

  static constexpr int32_t kRoot = 0;

  /// The node one byte further, or -1.
  int32_t step(int32_t node, uint8_t byte) const {
    if (node == kRoot) return root_[byte];
    for (uint32_t child = first_child_[node]; child < first_child_[node + 1]; ++child) {
      if (label_[child] >= byte) return label_[child] == byte ? static_cast<int32_t>(child) : -1;
    }
    return -1;
  }

  /// The value of the text that ends at this node, or -1.
  int32_t value(int32_t node) const { return value_[node]; }

  struct Match {
    size_t length = 0;  // 0 = none
    int32_t value = -1;
  };
  /// The longest entry that `text` begins with.
  Match longest_prefix(std::string_view text) const;

 private:
  std::array<int32_t, 256> root_;
  std::vector<uint32_t> first_child_;  // one more than nodes
  std::vector<uint8_t> label_;
  std::vector<int32_t> value_;
};

}  // namespace llm
