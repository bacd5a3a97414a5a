// The normalisation that a SentencePiece model asks for: rewriting by its compiled rules (NFKC and
// the like), and dropping surplus spaces.
//
// Models trained by this program have neither and never come here. Const and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/byte_trie.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/sentencepiece_model.h"

namespace llm {

class TextNormalizer {
 public:
  /// Throws Error(Exit::bad_input) when the rules are damaged. Keeps views into the model's file.
  TextNormalizer(const SentencePieceModel& model, std::string_view file_name);

  /// True when the result always is the text itself.
  bool is_identity() const { return rules_.empty() && !squeeze_spaces_; }

  /// The text with plain spaces (SentencePiece would print U+2581), without the dummy prefix. Bytes
  /// that are not UTF-8 become U+FFFD each.
  std::string normalize(std::string_view text) const;

 private:
  struct Step {
    std::string_view result;
    size_t consumed = 0;
  };
  Step next(std::string_view text) const;

  Charsmap rules_;
  bool squeeze_spaces_;
  ByteTrie kept_;  // user-defined pieces are not rewritten
};

}  // namespace llm
