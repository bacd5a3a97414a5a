// From floats to blocks. Q8_0 and Q4_0 round as ggml's reference does, so that equal weights give
// equal files.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "gguf/block_formats.h"

namespace llm {
namespace {

void put_u16(std::byte* at, uint16_t value) {
  at[0] = static_cast<std::byte>(value & 0xFF);
  at[1] = static_cast<std::byte>(value >> 8);
}

// The float32 scale is used for rounding, its float16 is stored.
void q8_0(const float* x, std::byte* block) {
  float largest = 0;
  for (int j = 0; j < 32; ++j) {
    largest = std::max(largest, std::fabs(x[j]));
  }
  const float d = largest / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  put_u16(block, float_to_half(d));
  for (int j = 0; j < 32; ++j) {
    block[2 + j] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[j] * inverse)));
  }
}

// One product and one sum, rounded once: what the reference gives where it is compiled with fused
// multiply-add, as its builds for today's processors are. (In float64 both steps are exact wherever
// the result can matter.)
uint8_t nibble(float x, float inverse) {
  const double exact = static_cast<double>(x) * inverse + 8.5;
  const auto q = static_cast<int>(static_cast<float>(exact));
  return static_cast<uint8_t>(q < 15 ? q : 15);
}

// The number furthest from zero, sign included, becomes -8 exactly.
void q4_0(const float* x, std::byte* block) {
  float furthest = 0, largest = 0;
  for (int j = 0; j < 32; ++j) {
    if (std::fabs(x[j]) > largest) {
      largest = std::fabs(x[j]);
      furthest = x[j];
    }
  }
  const float d = furthest / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  put_u16(block, float_to_half(d));
  for (int j = 0; j < 16; ++j) {
    block[2 + j] = static_cast<std::byte>(nibble(x[j], inverse) | nibble(x[j + 16], inverse) << 4);
  }
}

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
    return static_cast<uint16_t>(bits >> 16 | 0x40u);
  }
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace

void quantize(const BlockFormat& format, std::span<const float> in, std::span<std::byte> blocks) {
  std::byte* block = blocks.data();
  if (format.type == GgmlType::f32) {
    if (!in.empty()) std::memcpy(block, in.data(), in.size_bytes());
    return;
  }
  for (size_t at = 0; at < in.size(); at += format.values, block += format.bytes) {
    switch (format.type) {
      case GgmlType::f16:
        put_u16(block, float_to_half(in[at]));
        break;
      case GgmlType::bf16:
        put_u16(block, float_to_bfloat16(in[at]));
        break;
      case GgmlType::q8_0:
        q8_0(in.data() + at, block);
        break;
      default:
        q4_0(in.data() + at, block);
        break;
    }
  }
}

}  // namespace llm
