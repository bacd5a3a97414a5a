// Tokens that stand beside the vocabulary and are taken out of a text as they are: special tokens
// and words that were added later.
//
// Matching is that of Hugging Face's tokenizers: from left to right, of several that begin at one
// place the longest; a token may ask to stand alone as a word, to take in the spaces beside it, and
// to be looked for after normalisation instead of before. Const and thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/function_ref.h"

namespace llm {

struct AddedToken {
  std::string text;
  int32_t id = -1;
  bool single_word = false;             // only where no word character is beside it
  bool lstrip = false, rstrip = false;  // takes in the spaces before, after it
  bool normalized = false;              // looked for in the normalised text
  bool special = false;
};

/// A token of chat markup ("<|im_end|>", "<tool_call>", "[INST]"), whatever its file says about it.
bool looks_like_markup(std::string_view text);

class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  /// `texts` are what to look for (a normalised token's normalised text), parallel to `tokens`.
  AddedTokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& texts);

  bool empty() const { return tokens_.empty(); }

  /// Gives the text between tokens (id -1) and the tokens, in order; no empty text.
  void split(std::string_view text, FunctionRef<void(std::string_view, int32_t)> part) const;

 private:
  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // -> index into tokens_
  std::array<bool, 256> begins_{};
};

}  // namespace llm
