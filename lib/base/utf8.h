// UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. Pure functions,
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llm::utf8 {

/// Length in bytes of the longest prefix that is whole, valid characters.
size_t valid_prefix(std::string_view text);

bool is_valid(std::string_view text);

/// Valid, and without control characters (U+0000 to U+001F, U+007F).
bool is_printable(std::string_view text);

/// Offset of the first byte that cannot be part of valid text; a character cut off at the end
/// counts as invalid.
std::optional<size_t> first_invalid(std::string_view text);

/// Bytes at the end (0 to 3) that begin a character whose rest is missing. A stream holds these
/// back until more arrives.
size_t incomplete_suffix_length(std::string_view text);

struct Character {
  uint32_t code_point = 0;  // 0xFFFD where the byte is invalid
  size_t length = 0;        // bytes used, 1 for an invalid byte
  bool valid = false;
};
/// The character at the start of a non-empty text.
Character first_character(std::string_view text);

void append(std::string& out, uint32_t code_point);

/// Each maximal broken sequence becomes one U+FFFD, as the Unicode standard recommends (3.9,
/// "substitution of maximal subparts").
std::string replace_invalid(std::string_view text);

/// Number of characters; an invalid byte counts as one.
size_t length(std::string_view text);

}  // namespace llm::utf8
