// Characters on which Hugging Face's tokenizers and the installed Unicode tables may differ.
//
// That library reads several tables: its regexes know Unicode 16, its normalisers Unicode 9,
// Punctuation Unicode 8, lower case Unicode 17. utf8proc and PCRE2 know 14 or later, depending on
// the system. These lists, made by tests/support/make_unicode_differences.py, settle every
// character after Unicode 14 the way that library does. All lists are sorted. No state;
// thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace llm::unicode {

struct Range {
  uint32_t first, last;
};

/// Characters added in Unicode 15 to 16.
struct LaterCharacters {
  uint32_t first, last;
  uint8_t classes;    // letter, mark, number, punctuation or no_class
  bool is_word;       // in \w
  uint32_t stand_in;  // known to Unicode 14: same category, length in UTF-8 and (mostly) script
};
std::span<const LaterCharacters> later_characters();
inline constexpr uint32_t kFirstLater = 0x897;

/// Characters that normalisers treat as unassigned: never decomposed, composed, moved or stripped.
std::span<const Range> unknown_to_normalizers();

/// Characters that the pre-tokenizer Punctuation (or Digits) sees differently from \p{P} (\p{N}).
std::span<const Range> odd_punctuation();
std::span<const Range> odd_digits();

/// Characters whose lower case differs from Unicode 14's: add `difference`.
struct LowerCase {
  uint32_t first, last;
  int32_t difference;
};
std::span<const LowerCase> other_lower_case();

/// The entry that holds `code_point`, or null.
template <typename Entry>
const Entry* find_range(std::span<const Entry> entries, uint32_t code_point) {
  const auto after =
      std::upper_bound(entries.begin(), entries.end(), code_point,
                       [](uint32_t point, const Entry& entry) { return point < entry.first; });
  if (after == entries.begin()) return nullptr;
  const Entry& entry = *std::prev(after);
  return code_point <= entry.last ? &entry : nullptr;
}

}  // namespace llm::unicode
