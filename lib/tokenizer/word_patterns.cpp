#include "tokenizer/word_patterns.h"

#include <algorithm>

#include "tokenizer/unicode_text.h"

namespace llm {

using unicode::Character;
using unicode::first_character;

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

constexpr uint8_t kNeither = unicode::letter | unicode::number | unicode::space;

Character character_at(std::string_view text, size_t at) {
  return first_character(text.substr(at));
}

/// End of the run of characters with one of these classes.
size_t run_end(std::string_view text, size_t at, uint8_t classes) {
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if (!(c.classes & classes)) break;
    at += c.length;
  }
  return at;
}

/// The same for [^\s\p{L}\p{N}].
size_t symbols_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if (c.classes & kNeither) break;
    at += c.length;
  }
  return at;
}

/// \s+(?!\S)|\s+ on the run of spaces [at, end): all but the last before something else.
size_t spaces_word(std::string_view text, size_t at, size_t end) {
  if (end == text.size()) return end;
  const size_t last = end - unicode::last_length(text.substr(at, end - at));
  return last > at ? last : end;
}

/// 's 't 're 've 'm 'll 'd after an apostrophe at `at`; 0 = none. Ignoring case takes in U+017F,
/// the long s.
size_t contraction_end(std::string_view text, size_t at, bool ignore_case) {
  const std::string_view rest = text.substr(at + 1, 2);
  if (rest.empty()) return 0;
  const auto lower = [&](char c) {
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(rest[0]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (ignore_case && rest == "\xC5\xBF") return at + 3;
  if (rest.size() < 2) return 0;
  const char second = lower(rest[1]);
  const bool found = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
  return found ? at + 3 : 0;
}

template <size_t kMostDigits>
size_t cl100k_word_end(std::string_view text, size_t at) {
  const Character c = character_at(text, at);
  if (c.code_point == '\'') {
    if (const size_t end = contraction_end(text, at, true); end > 0) return end;
  }
  if (c.classes & unicode::letter) return run_end(text, at + c.length, unicode::letter);
  const size_t after = at + c.length;
  if (c.classes & unicode::number) {
    size_t end = after;
    for (size_t digits = 1; digits < kMostDigits && end < text.size(); ++digits) {
      const Character digit = character_at(text, end);
      if (!(digit.classes & unicode::number)) break;
      end += digit.length;
    }
    return end;
  }
  const bool is_newline = c.code_point == '\n' || c.code_point == '\r';
  const Character next = after < text.size() ? character_at(text, after) : Character{0, 0, 0xFF};
  // A broken byte is in no match of a pattern; here it counts as a symbol.
  if (!is_newline && next.length > 0 && (next.classes & unicode::letter))
    return run_end(text, after + next.length, unicode::letter);
  const bool is_symbol = !(c.classes & kNeither);
  if (is_symbol || (c.code_point == ' ' && next.length > 0 && !(next.classes & kNeither))) {
    size_t end = symbols_end(text, is_symbol ? after : after + next.length);
    while (end < text.size() && (text[end] == '\n' || text[end] == '\r')) ++end;
    return end;
  }
  const size_t end = run_end(text, after, unicode::space);
  const size_t newline = text.substr(at, end - at).find_last_of("\r\n");
  if (newline != std::string_view::npos) return at + newline + 1;
  return spaces_word(text, at, end);
}

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kGpt2List[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kLlama3List[] = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kQwen2List[] = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kDigitsGpt2List[] = {kDigit, kGpt2List[0]};
constexpr std::string_view kDefaultList[] = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2List[0], R"(\p{N}+)",
                                             R"([0-9][0-9][0-9])"};
constexpr std::string_view kGpt4oList[] = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kTekkenList[] = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kDeepseek3List[] = {
    R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

constexpr NamedWords kNamed[] = {
    {"gpt-2", kGpt2List},
    {"llama-bpe", kLlama3List, true},
    {"qwen2", kQwen2List},
    {"default", kDefaultList},
    {"llama3", kLlama3List, true},
    {"llama-v3", kLlama3List, true},
    {"falcon3", kLlama3List, true},
    {"dbrx", kLlama3List},
    {"smaug-bpe", kLlama3List},
    {"stablelm2", kQwen2List},
    {"deepseek-r1-qwen", kQwen2List},
    {"phi-2", kGpt2List},
    {"mpt", kGpt2List},
    {"olmo", kGpt2List},
    {"jais", kGpt2List},
    {"gpt-neox", kGpt2List},
    {"starcoder", kDigitsGpt2List},
    {"refact", kDigitsGpt2List},
    {"command-r", kDigitsGpt2List},
    {"smollm", kDigitsGpt2List},
    {"codeshell", kDigitsGpt2List},
    {"exaone", kDigitsGpt2List},
    {"gpt-4o", kGpt4oList},
    {"llama4", kGpt4oList},
    {"tekken", kTekkenList, true},
    {"deepseek-v3", kDeepseek3List},
};

}  // namespace

size_t gpt2_word_end(std::string_view text, size_t at) {
  Character c = character_at(text, at);
  if (c.code_point == '\'') {
    if (const size_t end = contraction_end(text, at, false); end > 0) return end;
  }
  size_t after = at + c.length;
  if (c.code_point == ' ' && after < text.size()) {
    const Character next = character_at(text, after);
    if (!(next.classes & unicode::space)) {
      c = next;
      after += next.length;
    }
  }
  if (c.classes & unicode::letter) return run_end(text, after, unicode::letter);
  if (c.classes & unicode::number) return run_end(text, after, unicode::number);
  if (!(c.classes & unicode::space)) return symbols_end(text, after);
  return spaces_word(text, at, run_end(text, after, unicode::space));
}

size_t llama3_word_end(std::string_view text, size_t at) { return cl100k_word_end<3>(text, at); }
size_t qwen2_word_end(std::string_view text, size_t at) { return cl100k_word_end<1>(text, at); }

WordEnd find_word_matcher(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return gpt2_word_end;
  if (pattern == kLlama3Pattern) return llama3_word_end;
  if (pattern == kQwen2Pattern) return qwen2_word_end;
  return nullptr;
}

std::span<const NamedWords> named_words() { return kNamed; }

const NamedWords* find_named_words(std::string_view name) {
  const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed),
                                   [&](const NamedWords& words) { return words.name == name; });
  return found == std::end(kNamed) ? nullptr : found;
}

std::string_view name_of_patterns(const std::vector<std::string_view>& patterns) {
  for (const NamedWords& words : kNamed) {
    if (std::equal(patterns.begin(), patterns.end(), words.patterns.begin(), words.patterns.end()))
      return words.name;
  }
  return {};
}

}  // namespace llm
