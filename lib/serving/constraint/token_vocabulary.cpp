#include "serving/constraint/token_vocabulary.h"

#include <algorithm>

#include "base/error.h"

namespace llm {
namespace {

constexpr size_t kMaxTokenBytes = 65'535;

size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first -
      a.begin());
}

}  // namespace

TokenVocabulary::TokenVocabulary(std::span<const std::string> tokens,
                                 std::span<const int32_t> end_ids)
    : end_ids_(end_ids.begin(), end_ids.end()) {
  for (const int32_t id : end_ids_) {
    check(id >= 0 && static_cast<size_t>(id) < tokens.size(),
          "constraint: end id {} is not in a vocabulary of {}", id, tokens.size());
  }
  offsets_.push_back(0);
  for (size_t id = 0; id < tokens.size(); ++id) {
    check(tokens[id].size() <= kMaxTokenBytes, "constraint: token {} is longer than {} bytes", id,
          kMaxTokenBytes);
    if (!is_end(static_cast<int32_t>(id))) bytes_ += tokens[id];
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  grow_tree();
}

bool TokenVocabulary::is_end(int32_t id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

void TokenVocabulary::grow_tree() {
  for (size_t id = 0; id < size(); ++id) {
    if (!bytes(static_cast<int32_t>(id)).empty()) tree_tokens_.push_back(static_cast<int32_t>(id));
    longest_ = std::max(longest_, bytes(static_cast<int32_t>(id)).size());
  }
  std::sort(tree_tokens_.begin(), tree_tokens_.end(), [this](int32_t a, int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<uint32_t> path;  // the branches above the next one
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      tree_[path.back()].after = static_cast<uint32_t>(tree_.size());
    }
  };
  std::string_view before;
  for (uint32_t i = 0; i < tree_tokens_.size(); ++i) {
    const std::string_view text = bytes(tree_tokens_[i]);
    leave(common_prefix(before, text));
    for (size_t depth = path.size(); depth < text.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(tree_.size()));
      tree_.push_back({0, i, static_cast<uint16_t>(depth + 1), static_cast<uint8_t>(text[depth])});
    }
    before = text;
  }
  leave(0);
  tree_.push_back({0, static_cast<uint32_t>(tree_tokens_.size()), 0, 0});
}

}  // namespace llm
