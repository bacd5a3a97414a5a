// What a piece says once it is text again: the decoders of tokenizer.json.
//
// Steps before Fuse work on one token, Strip after Fuse on the whole text. Bytes come back exactly,
// also where they are not UTF-8 (the library of Hugging Face puts U+FFFD there). Const and
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_rewriter.h"

namespace llm {

class TokenDecoder {
 public:
  void add_byte_level();
  void add_byte_fallback();
  void add_replace(std::unique_ptr<const DelimiterFinder> finder, std::string replacement);
  /// `drops_first`: marks of the first token of a text give nothing.
  void add_metaspace(std::string mark, bool drops_first);
  /// BPE with a suffix at the end of each word; it becomes a space except at the end of the text.
  void add_word_suffix(std::string suffix);
  /// Up to `start` and `stop` times `content` (one character) goes.
  void add_strip(std::string content, size_t start, size_t stop);
  void fuse() { fused_ = true; }
  /// Tokens are joined by spaces, as a file without a decoder has it.
  void join_with_spaces();

  /// The bytes of a token inside a text, or of the first token of one.
  std::string decode(std::string_view piece, bool first) const;
  /// True if the first token of a text may decode to something else than in its middle.
  bool first_differs() const { return first_differs_; }

  /// What the rules for a whole text take off it.
  void finish(std::string& text) const;

 private:
  enum class Kind { byte_level, byte_fallback, replace, metaspace, suffix, strip, join };
  struct Step {
    Kind kind;
    std::string text = {};
    TextRewriterPtr rewriter = {};
    bool drops_first = false;
    size_t start = 0, stop = 0;
  };
  std::vector<Step> steps_, text_steps_;  // of tokens, of the fused text
  std::string word_suffix_;
  bool fused_ = false, first_differs_ = false;
};

}  // namespace llm
