#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/error.h"

namespace llm {
namespace {

constexpr size_t kShortWord = 40;

struct MergeCandidate {
  int32_t rank, left_at, right_at, left, right, piece;
  bool operator<(const MergeCandidate& other) const {
    return rank != other.rank ? rank > other.rank : left_at > other.left_at;
  }
};

}  // namespace

void MergeTable::reserve(size_t merges) {
  slots_.assign(std::bit_ceil(2 * merges + 2), {});
  shift_ = 64 - std::countr_zero(slots_.size());
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  size_t at = place(left, right);
  for (; slots_[at].left >= 0; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].left == left && slots_[at].right == right) return;
  }
  slots_[at] = {left, right, merge};
}

size_t MergeTable::merge_all(int32_t* symbols, size_t count) const {
  if (count <= kShortWord) return merge_short(symbols, count);
  check(count <= std::numeric_limits<int32_t>::max(),
        "tokenizer: {} characters without a place to cut; 2147483647 are the most", count);
  return merge_long(symbols, count);
}

size_t MergeTable::merge_short(int32_t* symbols, size_t count) const {
  if (count < 2) return count;
  Merge merge[kShortWord];  // of symbol i with symbol i + 1
  for (size_t i = 0; i + 1 < count; ++i) merge[i] = find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = 0;
    int32_t lowest = merge[0].rank;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merge[i].rank < lowest) {
        lowest = merge[i].rank;
        best = i;
      }
    }
    if (lowest == kNeverMerged) break;
    symbols[best] = merge[best].piece;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      merge[i - 1] = merge[i];
    }
    if (best > 0) merge[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) merge[best] = find(symbols[best], symbols[best + 1]);
  }
  return count;
}

size_t MergeTable::merge_long(int32_t* symbols, size_t count) const {
  constexpr int32_t kGone = -2;
  const auto total = static_cast<int32_t>(count);
  std::vector<int32_t> previous(count), next(count);
  std::vector<MergeCandidate> first;
  for (int32_t i = 0; i < total; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
    if (i + 1 == total) break;
    const Merge merge = find(symbols[i], symbols[i + 1]);
    if (merge.piece >= 0)
      first.push_back({merge.rank, i, i + 1, symbols[i], symbols[i + 1], merge.piece});
  }
  std::priority_queue<MergeCandidate> agenda(std::less<MergeCandidate>(), std::move(first));
  const auto consider = [&](int32_t left_at, int32_t right_at) {
    if (left_at < 0 || right_at >= total) return;
    const Merge merge = find(symbols[left_at], symbols[right_at]);
    if (merge.piece >= 0)
      agenda.push(
          {merge.rank, left_at, right_at, symbols[left_at], symbols[right_at], merge.piece});
  };
  while (!agenda.empty()) {
    const MergeCandidate top = agenda.top();
    agenda.pop();
    if (symbols[top.left_at] != top.left || symbols[top.right_at] != top.right ||
        next[top.left_at] != top.right_at)
      continue;  // one of them was joined meanwhile
    symbols[top.left_at] = top.piece;
    symbols[top.right_at] = kGone;
    next[top.left_at] = next[top.right_at];
    if (next[top.left_at] < total) previous[next[top.left_at]] = top.left_at;
    consider(previous[top.left_at], top.left_at);
    consider(top.left_at, next[top.left_at]);
  }
  size_t kept = 0;
  for (int32_t i = 0; i < total; i = next[i]) symbols[kept++] = symbols[i];
  return kept;
}

}  // namespace llm
