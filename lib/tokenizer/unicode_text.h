// What the Unicode tables say about characters, and the four normalisation forms.
//
// Tables: utf8proc, settled by unicode_differences.h where its version could show. Bytes that are
// not valid UTF-8 pass through every function as they are, each a character of its own of no class.
// No state; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llm::unicode {

enum class Form : uint8_t { nfc, nfd, nfkc, nfkd };

/// Appends the normalised text.
void normalize(std::string_view text, Form form, std::string& out);

/// True only if normalising changes nothing; false may be wrong. A fraction of the cost.
bool surely_normal(std::string_view text, Form form);

/// Classes of characters, as bits.
enum Class : uint8_t {
  no_class = 0,
  letter = 1,        // \p{L}
  mark = 2,          // \p{M}
  number = 4,        // \p{N}
  space = 8,         // White_Space
  punctuation = 16,  // \p{P}
  control = 32,      // \p{C}: control, format, unassigned, private use
  word = 64,         // \w of Rust's regex crate and of Oniguruma
};

struct Character {
  uint32_t code_point;
  uint8_t length;  // bytes
  uint8_t classes;
};

/// Classes of a code point.
uint8_t classes_of(uint32_t code_point);

namespace detail {
struct AsciiClasses {
  uint8_t of[128];
};
extern const AsciiClasses kAscii;
Character far_character(std::string_view text);
}  // namespace detail

/// The character at the start of a non-empty text; an invalid byte has length 1 and no class.
inline Character first_character(std::string_view text) {
  const auto byte = static_cast<uint8_t>(text[0]);
  if (byte < 0x80) return {byte, 1, detail::kAscii.of[byte]};
  return detail::far_character(text);
}

/// Length in bytes of the character that ends a non-empty text.
size_t last_length(std::string_view text);

/// True if normalisers leave this character as it is.
bool is_unknown_to_normalizers(uint32_t code_point);

/// Appends the lower-case form of one code point, as char::to_lowercase of Rust gives it (no
/// context).
void append_lower(uint32_t code_point, std::string& out);

/// Bytes of the first grapheme cluster of a non-empty text.
size_t first_grapheme(std::string_view text);

}  // namespace llm::unicode
