// How text is cut into words before it is merged: the regular expressions that published tokenizers
// share, matched by hand, and their names.
//
// The patterns of GPT-2, Llama 3 (which is cl100k's) and Qwen2 are matched by code written for
// them, several times as fast as a regex engine and with the same result
// (tests/tokenizer/word_patterns_test.cpp compares them with PCRE2). Each of them covers every text
// without a gap. Stateless; thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace llm {

/// End of the word that starts at `at` < text.size().
using WordEnd = size_t (*)(std::string_view text, size_t at);

size_t gpt2_word_end(std::string_view text, size_t at);
size_t llama3_word_end(std::string_view text, size_t at);
size_t qwen2_word_end(std::string_view text, size_t at);

/// The matcher of exactly this pattern, or null.
WordEnd find_word_matcher(std::string_view pattern);

extern const std::string_view kGpt2Pattern, kLlama3Pattern, kQwen2Pattern;

/// A way of cutting that GGUF has a name for: its patterns are applied one after another, each to
/// the pieces of the one before.
struct NamedWords {
  std::string_view name;
  std::span<const std::string_view> patterns;
  bool ignore_merges = false;
};
std::span<const NamedWords> named_words();
const NamedWords* find_named_words(std::string_view name);

/// The first name with exactly these patterns, or an empty one.
std::string_view name_of_patterns(const std::vector<std::string_view>& patterns);

}  // namespace llm
