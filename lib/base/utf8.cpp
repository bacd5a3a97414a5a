#include "base/utf8.h"

#include <algorithm>

namespace llm::utf8 {
namespace {

/// How many bytes a character with this first byte has, 0 if no character starts so.
size_t sequence_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 0;
}

/// The second byte is narrower after some first bytes: no overlong forms, no surrogates, nothing
/// past U+10FFFF (Unicode, table 3-7).
bool second_byte_fits(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

/// Bytes at the start of text that are a character or the beginning of one.
size_t good_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = sequence_length(byte(0));
  if (length <= 1) {
    return length;
  }
  size_t good = 1;
  while (
      good < length && good < text.size() &&
      (good == 1 ? second_byte_fits(byte(0), byte(1)) : byte(good) >= 0x80 && byte(good) <= 0xBF)) {
    ++good;
  }
  return good;
}

}  // namespace

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = sequence_length(byte(0));
  if (length == 1) {
    return {byte(0), 1, true};
  }
  if (length == 0 || good_bytes(text) != length) {
    return {0xFFFD, 1, false};
  }
  uint32_t code_point = byte(0) & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  return {code_point, length, true};
}

size_t valid_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Character character = first_character(text.substr(at));
    if (!character.valid) {
      break;
    }
    at += character.length;
  }
  return at;
}

bool is_valid(std::string_view text) { return valid_prefix(text) == text.size(); }

bool is_printable(std::string_view text) {
  return is_valid(text) && std::none_of(text.begin(), text.end(), [](char byte) {
           return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
         });
}

std::optional<size_t> first_invalid(std::string_view text) {
  const size_t good = valid_prefix(text);
  return good == text.size() ? std::nullopt : std::optional<size_t>(good);
}

size_t incomplete_suffix_length(std::string_view text) {
  for (size_t length = 1; length <= 3 && length <= text.size(); ++length) {
    const std::string_view tail = text.substr(text.size() - length);
    if (sequence_length(static_cast<unsigned char>(tail[0])) > length &&
        good_bytes(tail) == length) {
      return length;
    }
  }
  return 0;
}

void append(std::string& out, uint32_t code_point) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    code_point = 0xFFFD;
  }
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t good = valid_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (!text.empty()) {
      append(out, 0xFFFD);
      const size_t broken = good_bytes(text);
      text.remove_prefix(broken == 0 ? 1 : broken);
    }
  }
  return out;
}

size_t length(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    at += first_character(text.substr(at)).length;
  }
  return count;
}

}  // namespace llm::utf8
