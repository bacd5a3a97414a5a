// The table of formats.
#include "gguf/block_formats.h"

#include <algorithm>
#include <array>
#include <bit>

namespace llm {
namespace {

constexpr BlockFormat plain(uint32_t type, std::string_view name, uint32_t bytes) {
  return {static_cast<GgmlType>(type), name, 1, bytes, false, false};
}
constexpr BlockFormat blocks(uint32_t type, std::string_view name, uint32_t values,
                             uint32_t bytes) {
  return {static_cast<GgmlType>(type), name, values, bytes, false, false};
}
constexpr BlockFormat read(BlockFormat format) {
  format.readable = true;
  return format;
}
constexpr BlockFormat read_and_written(BlockFormat format) {
  format.readable = format.writable = true;
  return format;
}

// Formats that are not read have their sizes here all the same: a file is checked as a whole, and a
// refusal can name the format.
constexpr std::array kFormats = {
    read_and_written(plain(0, "F32", 4)),
    read_and_written(plain(1, "F16", 2)),
    read_and_written(blocks(2, "Q4_0", 32, 18)),
    read(blocks(3, "Q4_1", 32, 20)),
    read(blocks(6, "Q5_0", 32, 22)),
    read(blocks(7, "Q5_1", 32, 24)),
    read_and_written(blocks(8, "Q8_0", 32, 34)),
    blocks(9, "Q8_1", 32, 36),
    blocks(10, "Q2_K", 256, 84),
    blocks(11, "Q3_K", 256, 110),
    read(blocks(12, "Q4_K", 256, 144)),
    read(blocks(13, "Q5_K", 256, 176)),
    read(blocks(14, "Q6_K", 256, 210)),
    blocks(15, "Q8_K", 256, 292),
    blocks(16, "IQ2_XXS", 256, 66),
    blocks(17, "IQ2_XS", 256, 74),
    blocks(18, "IQ3_XXS", 256, 98),
    blocks(19, "IQ1_S", 256, 50),
    blocks(20, "IQ4_NL", 32, 18),
    blocks(21, "IQ3_S", 256, 110),
    blocks(22, "IQ2_S", 256, 82),
    blocks(23, "IQ4_XS", 256, 136),
    plain(24, "I8", 1),
    plain(25, "I16", 2),
    plain(26, "I32", 4),
    plain(27, "I64", 8),
    plain(28, "F64", 8),
    blocks(29, "IQ1_M", 256, 56),
    read_and_written(plain(30, "BF16", 2)),
    blocks(34, "TQ1_0", 256, 54),
    blocks(35, "TQ2_0", 256, 66),
    read(blocks(39, "MXFP4", 32, 17)),
    blocks(40, "NVFP4", 64, 36),
    blocks(41, "Q1_0", 128, 18),
    blocks(42, "Q2_0", 64, 18),
};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string names(bool BlockFormat::*wanted) {
  std::string text;
  for (const BlockFormat& format : kFormats) {
    if (format.*wanted) {
      text += text.empty() ? "" : " ";
      text += format.name;
    }
  }
  return text;
}

}  // namespace

const BlockFormat* find_block_format(uint32_t type) {
  for (const BlockFormat& format : kFormats) {
    if (static_cast<uint32_t>(format.type) == type) {
      return &format;
    }
  }
  return nullptr;
}

const BlockFormat* find_block_format(std::string_view name) {
  for (const BlockFormat& format : kFormats) {
    if (std::equal(name.begin(), name.end(), format.name.begin(), format.name.end(),
                   [](char a, char b) { return upper(a) == b; })) {
      return &format;
    }
  }
  return nullptr;
}

const BlockFormat& block_format(GgmlType type) {
  return *find_block_format(static_cast<uint32_t>(type));
}

std::string readable_formats() { return names(&BlockFormat::readable); }
std::string writable_formats() { return names(&BlockFormat::writable); }

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = bits >> 10 & 0x1Fu;
  const uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0x1F) {
    return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  }
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24, exact
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return static_cast<uint16_t>(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
  }
  if (magnitude >= 0x477FF000u) {  // 65520 and more round to infinity
    return static_cast<uint16_t>(sign | 0x7C00u);
  }
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the rounded count of 2^-24 in
                                  // the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace llm
