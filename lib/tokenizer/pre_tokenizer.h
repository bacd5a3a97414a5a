// How a text is cut into pieces before the model sees it: the pre-tokenizers of tokenizer.json.
//
// A step gets one piece and hands on smaller ones, from left to right; steps nest, so a sequence of
// them needs no list of pieces in between. Every step does what Hugging Face's tokenizers does
// under the same name. Const and thread-safe; any bytes are text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/function_ref.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_differences.h"
#include "tokenizer/word_patterns.h"

namespace llm {

/// Takes the next piece; `at_start`: it begins where the whole text begins.
using PieceSink = FunctionRef<void(std::string_view piece, bool at_start)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Gives no empty piece.
  virtual void split(std::string_view text, bool at_start, PieceSink sink) const = 0;
};

/// What becomes of a delimiter that was found.
enum class Delimiter : uint8_t {
  isolated,
  removed,
  contiguous,
  merged_with_previous,
  merged_with_next
};

/// Where the delimiters of a text are.
class DelimiterFinder {
 public:
  virtual ~DelimiterFinder() = default;
  virtual void find(std::string_view text, FunctionRef<void(size_t, size_t)> found) const = 0;
};
std::unique_ptr<const DelimiterFinder> find_regex(std::string_view pattern,
                                                  std::string_view subject);
std::unique_ptr<const DelimiterFinder> find_literal(std::string_view text);
/// One character with one of these classes (unicode::Class), or one of `also`; the other way round
/// for characters in `inverted`.
std::unique_ptr<const DelimiterFinder> find_classes(uint8_t classes, std::string_view also,
                                                    std::span<const unicode::Range> inverted = {});

/// Cuts at delimiters; `invert`: the text between them is the delimiter.
std::unique_ptr<const PreTokenizer> split_at(std::unique_ptr<const DelimiterFinder> finder,
                                             Delimiter behavior, bool invert);

/// Words that cover the text, by a matcher written by hand.
std::unique_ptr<const PreTokenizer> split_words(WordEnd word_end);

/// A space before each piece that has none, then `then` (null = nothing).
std::unique_ptr<const PreTokenizer> space_before(std::unique_ptr<const PreTokenizer> then);

enum class Prepend : uint8_t { always, first, never };
/// Spaces become `mark`, which is put before the text as `prepend` says; then cut before each mark.
std::unique_ptr<const PreTokenizer> metaspace(std::string mark, Prepend prepend, bool split);

/// One after another.
std::unique_ptr<const PreTokenizer> in_sequence(
    std::vector<std::unique_ptr<const PreTokenizer>> steps);

}  // namespace llm
