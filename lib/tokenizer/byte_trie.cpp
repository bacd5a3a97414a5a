#include "tokenizer/byte_trie.h"

#include <algorithm>

namespace llm {

ByteTrie::ByteTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end());
  struct Range {  // the entries below one node
    size_t begin, end;
  };
  std::vector<Range> level{{0, entries.size()}};
  label_.push_back(0);
  value_.push_back(-1);
  root_.fill(-1);
  for (size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Range> next_level;
    for (Range range : level) {
      first_child_.push_back(static_cast<uint32_t>(label_.size()));
      const size_t node = first_child_.size() - 1;
      for (; range.begin < range.end && entries[range.begin].first.size() == depth; ++range.begin) {
        if (value_[node] < 0) value_[node] = entries[range.begin].second;
      }
      while (range.begin < range.end) {
        const auto byte = static_cast<uint8_t>(entries[range.begin].first[depth]);
        const size_t begin = range.begin;
        while (range.begin < range.end &&
               static_cast<uint8_t>(entries[range.begin].first[depth]) == byte)
          ++range.begin;
        if (depth == 0) root_[byte] = static_cast<int32_t>(label_.size());
        label_.push_back(byte);
        value_.push_back(-1);
        next_level.push_back({begin, range.begin});
      }
    }
    level = std::move(next_level);
  }
  first_child_.push_back(static_cast<uint32_t>(label_.size()));
}

ByteTrie::Match ByteTrie::longest_prefix(std::string_view text) const {
  Match best;
  int32_t node = kRoot;
  for (size_t i = 0; i < text.size(); ++i) {
    node = step(node, static_cast<uint8_t>(text[i]));
    if (node < 0) break;
    if (value_[node] >= 0) best = {i + 1, value_[node]};
  }
  return best;
}

}  // namespace llm
