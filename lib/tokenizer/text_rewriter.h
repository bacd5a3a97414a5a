// What is done to a text before it is cut: the normalizers of tokenizer.json.
//
// Each does what Hugging Face's tokenizers does under the same name. Const and thread-safe; any
// bytes are text, and bytes that are not UTF-8 stay.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/unicode_text.h"

namespace llm {

class TextRewriter {
 public:
  virtual ~TextRewriter() = default;
  /// Appends the rewritten text.
  virtual void rewrite(std::string_view text, std::string& out) const = 0;
  /// True only if rewriting changes nothing; false may be wrong.
  virtual bool keeps(std::string_view text) const { return text.empty(); }
};
using TextRewriterPtr = std::unique_ptr<const TextRewriter>;

TextRewriterPtr rewrite_form(unicode::Form form);
TextRewriterPtr rewrite_lower();
TextRewriterPtr rewrite_strip(bool left, bool right);
TextRewriterPtr rewrite_without_accents();
TextRewriterPtr rewrite_nmt();
TextRewriterPtr rewrite_prepend(std::string text);
TextRewriterPtr rewrite_append(std::string text);
/// What `finder` finds becomes `replacement`.
TextRewriterPtr rewrite_replace(std::unique_ptr<const DelimiterFinder> finder,
                                std::string replacement);
/// The rules of a SentencePiece model (a compiled charsmap, decoded from base64).
TextRewriterPtr rewrite_charsmap(std::string charsmap, std::string_view file_name);
TextRewriterPtr rewrite_in_sequence(std::vector<TextRewriterPtr> steps);

}  // namespace llm
