// Hexadecimal digits.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace llm {

/// 0 to 15; -1 for what is no digit.
constexpr int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// The bytes that the digits spell; two digits, known to be such, for each byte of `out`.
inline void hex_to_bytes(std::string_view digits, std::span<unsigned char> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] =
        static_cast<unsigned char>(hex_value(digits[2 * i]) * 16 + hex_value(digits[2 * i + 1]));
  }
}

}  // namespace llm
