// The tokens of a tokenizer as byte strings, in the order that a grammar asks for them.
//
// A prefix tree in one flat list: a branch follows its parent at once, its brothers come after all
// that is below it. Walking the list once visits every distinct prefix of every token once, and
// what cannot match is jumped over whole. Immutable, so shared by threads; build one per tokenizer.
//
// Tokens without bytes (control tokens, padding rows of an embedding) are never allowed, except the
// end-of-text ids, which are allowed where the text may end and only there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

class TokenVocabulary {
 public:
  /// `tokens[id]` are the bytes that id adds to a text. `end_ids` lie inside the vocabulary
  /// (Exit::usage otherwise); their bytes count for nothing.
  TokenVocabulary(std::span<const std::string> tokens, std::span<const int32_t> end_ids);

  size_t size() const { return offsets_.size() - 1; }
  /// Empty for an id that is never text.
  std::string_view bytes(int32_t id) const {
    return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
  }
  std::span<const int32_t> end_ids() const { return end_ids_; }
  bool is_end(int32_t id) const;
  size_t longest_token_bytes() const { return longest_; }
  size_t mask_words() const { return (size() + 31) / 32; }

  // The prefix tree, for the walk of token_grammar.cpp. Branch i is a prefix of depth[i] bytes.
  struct Branch {
    uint32_t after = 0;        // the next branch that is not below this one
    uint32_t first_token = 0;  // into tree_tokens(); this branch's end where the next one's begin
    uint16_t depth = 1;
    uint8_t byte = 0;
  };
  std::span<const Branch> tree() const { return {tree_.data(), tree_.size() - 1}; }
  /// Ids that are exactly this prefix.
  std::span<const int32_t> tokens_at(size_t branch) const {
    return std::span(tree_tokens_)
        .subspan(tree_[branch].first_token,
                 tree_[branch + 1].first_token - tree_[branch].first_token);
  }

 private:
  void grow_tree();

  std::string bytes_;
  std::vector<uint32_t> offsets_;
  std::vector<int32_t> end_ids_;
  std::vector<Branch> tree_;  // and one more, for first_token
  std::vector<int32_t> tree_tokens_;
  size_t longest_ = 0;
};

}  // namespace llm
