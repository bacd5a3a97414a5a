// Letter case and character classes of jinja_text.h, for all of Unicode as far as the C library's
// tables go.
#include <locale.h>
#include <wctype.h>

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/jinja_text.h"

namespace llm::jinja {
namespace {

/// The C library's own Unicode tables, whatever locale the user has set; null (ASCII only) where
/// they are missing.
locale_t unicode_locale() {
  static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

uint32_t upper(uint32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  return unicode_locale() ? ::towupper_l(static_cast<wint_t>(c), unicode_locale()) : c;
}

uint32_t lower(uint32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  return unicode_locale() ? ::towlower_l(static_cast<wint_t>(c), unicode_locale()) : c;
}

bool is_letter(uint32_t c) {
  if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
  return unicode_locale() && ::iswalpha_l(static_cast<wint_t>(c), unicode_locale()) &&
         !::iswdigit_l(static_cast<wint_t>(c), unicode_locale());
}

bool is_cased(uint32_t c) { return upper(c) != c || lower(c) != c || c == 0xDF; }

void append_upper(std::string& out, uint32_t c) {
  if (c == 0xDF) {
    out += "SS";  // the one letter of everyday text that grows
  } else {
    utf8::append(out, upper(c));
  }
}

bool matches(uint32_t c, CharacterClass wanted) {
  switch (wanted) {
    case CharacterClass::space:
      return is_space(c);
    case CharacterClass::digit:
      return c >= '0' && c <= '9';
    case CharacterClass::letter:
      return is_letter(c);
    case CharacterClass::letter_or_digit:
      return is_letter(c) || (c >= '0' && c <= '9');
    case CharacterClass::upper:
      return !is_cased(c) || lower(c) != c;
    case CharacterClass::lower:
      return !is_cased(c) || upper(c) != c || c == 0xDF;
  }
  return false;
}

}  // namespace

Text with_case(const Text& text, LetterCase wanted) {
  // title, words: inside a word; capitalized: past the first character
  bool inside_word = false;
  const auto step = [&](uint32_t c) {
    if (wanted == LetterCase::title) inside_word = is_cased(c);
    if (wanted == LetterCase::capitalized) inside_word = true;
    const bool bracket = c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    if (wanted == LetterCase::words) inside_word = !bracket && !matches(c, CharacterClass::space);
  };
  const auto is_raised = [&] {
    return wanted == LetterCase::upper || (wanted != LetterCase::lower && !inside_word);
  };
  if (std::all_of(text.bytes.begin(), text.bytes.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    Text result = text;  // ASCII keeps its length
    for (char& c : result.bytes) {
      const auto before = static_cast<unsigned char>(c);
      c = static_cast<char>(is_raised() ? upper(before) : lower(before));
      step(before);
    }
    return result;
  }
  Text result;
  std::string piece;
  for (size_t at = 0; at < text.size();) {
    const utf8::Character next = utf8::first_character(std::string_view(text.bytes).substr(at));
    const uint32_t c = next.code_point;
    piece.clear();
    if (is_raised()) {
      append_upper(piece, c);
      if (wanted != LetterCase::upper && c == 0xDF) piece = "Ss";
    } else {
      utf8::append(piece, lower(c));
    }
    if (!next.valid) piece = text.bytes.substr(at, next.length);
    result.append(piece, text.user_at(at));
    step(c);
    at += next.length;
  }
  return result;
}

bool all_are(std::string_view text, CharacterClass wanted) {
  bool cased = wanted != CharacterClass::upper && wanted != CharacterClass::lower;
  if (text.empty()) return false;
  while (!text.empty()) {
    const utf8::Character next = utf8::first_character(text);
    if (!matches(next.code_point, wanted)) return false;
    cased = cased || is_cased(next.code_point);
    text.remove_prefix(next.length);
  }
  return cased;
}

}  // namespace llm::jinja
