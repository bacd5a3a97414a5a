// From blocks to floats. The layouts, d and m float16, q packed integers, j = 0 .. 31 or 255:
//
//   Q8_0  d q[32]i8                        x_j = d q_j
//   Q4_0  d q[16]u8                        x_j = d (q_j - 8); low halves first, then high halves
//   Q4_1  d m q[16]                        x_j = d q_j + m
//   Q5_0  d h[4] q[16]                     as Q4_0 with a fifth bit from h, x_j = d (q_j - 16)
//   Q5_1  d m h[4] q[16]                   x_j = d q_j + m
//   Q4_K  d dm s[12] q[128]                eight groups of 32 with a 6-bit scale and minimum each:
//                                          x_j = (d s_g) q_j - (dm m_g)
//   Q5_K  d dm s[12] h[32] q[128]          the same with a fifth bit
//   Q6_K  ql[128] qh[64] s[16]i8 d         sixteen groups of 16: x_j = (d s_g) (q_j - 32)
//   MXFP4 e q[16]                          x_j = e2m1(q_j) 2^(e - 127)
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "gguf/block_formats.h"
#include "gguf/dequantize_avx512.h"

namespace llm {
namespace {

uint8_t byte_at(const std::byte* at) { return std::to_integer<uint8_t>(*at); }

uint16_t u16_at(const std::byte* at) {
  return static_cast<uint16_t>(byte_at(at) | byte_at(at + 1) << 8);
}

uint32_t u32_at(const std::byte* at) {
  return u16_at(at) | static_cast<uint32_t>(u16_at(at + 2)) << 16;
}

// half_to_float() without branches, for loops over many: signed numbers and masks.
float half_at(const std::byte* at) {
  const int bits = u16_at(at), magnitude = bits & 0x7FFF;
  const int tiny = std::bit_cast<int>(static_cast<float>(magnitude) * 0x1p-24f);  // below 2^-14
  const int normal = (magnitude << 13) + (112 << 23), beyond = (magnitude << 13) | 0x7F800000;
  const int is_tiny = -static_cast<int>(magnitude < 0x400);
  const int is_beyond = -static_cast<int>(magnitude >= 0x7C00);
  const int value = (tiny & is_tiny) | (normal & ~is_tiny & ~is_beyond) | (beyond & is_beyond);
  return std::bit_cast<float>((bits & 0x8000) << 16 | value);
}

void q8_0(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block);
  for (int j = 0; j < 32; ++j) {
    out[j] = static_cast<float>(static_cast<int8_t>(byte_at(block + 2 + j))) * d;
  }
}

void q4_0(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block);
  for (int j = 0; j < 16; ++j) {
    const int q = byte_at(block + 2 + j);
    out[j] = static_cast<float>((q & 0xF) - 8) * d;
    out[j + 16] = static_cast<float>((q >> 4) - 8) * d;
  }
}

void q4_1(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int j = 0; j < 16; ++j) {
    const int q = byte_at(block + 4 + j);
    out[j] = static_cast<float>(q & 0xF) * d + m;
    out[j + 16] = static_cast<float>(q >> 4) * d + m;
  }
}

void q5_0(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block);
  const uint32_t high = u32_at(block + 2);
  for (int j = 0; j < 16; ++j) {
    const int q = byte_at(block + 6 + j);
    const int low_half = (q & 0xF) | static_cast<int>(high >> j & 1) << 4;
    const int high_half = q >> 4 | static_cast<int>(high >> (j + 16) & 1) << 4;
    out[j] = static_cast<float>(low_half - 16) * d;
    out[j + 16] = static_cast<float>(high_half - 16) * d;
  }
}

void q5_1(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block), m = half_at(block + 2);
  const uint32_t high = u32_at(block + 4);
  for (int j = 0; j < 16; ++j) {
    const int q = byte_at(block + 8 + j);
    const int low_half = (q & 0xF) | static_cast<int>(high >> j & 1) << 4;
    const int high_half = q >> 4 | static_cast<int>(high >> (j + 16) & 1) << 4;
    out[j] = static_cast<float>(low_half) * d + m;
    out[j + 16] = static_cast<float>(high_half) * d + m;
  }
}

struct ScaleAndMinimum {
  float scale, minimum;
};

// Twelve bytes hold eight scales and eight minimums of 6 bits: groups 0-3 in the low six bits of
// bytes 0-3 (scales) and 4-7 (minimums); groups 4-7 have their low halves in bytes 8-11 and their
// upper two bits on top of bytes 0-7.
ScaleAndMinimum packed_scale(const std::byte* packed, int group) {
  const auto at = [&](int i) { return static_cast<int>(byte_at(packed + i)); };
  if (group < 4) {
    return {static_cast<float>(at(group) & 63), static_cast<float>(at(group + 4) & 63)};
  }
  return {static_cast<float>((at(group + 4) & 0xF) | (at(group - 4) >> 6) << 4),
          static_cast<float>(at(group + 4) >> 4 | (at(group) >> 6) << 4)};
}

void q4_k(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block), dm = half_at(block + 2);
  const std::byte* q = block + 16;
  for (int group = 0; group < 8; group += 2, q += 32, out += 64) {
    const ScaleAndMinimum low = packed_scale(block + 4, group);
    const ScaleAndMinimum high = packed_scale(block + 4, group + 1);
    const float d1 = d * low.scale, m1 = dm * low.minimum;
    const float d2 = d * high.scale, m2 = dm * high.minimum;
    for (int j = 0; j < 32; ++j) {
      out[j] = d1 * static_cast<float>(byte_at(q + j) & 0xF) - m1;
      out[j + 32] = d2 * static_cast<float>(byte_at(q + j) >> 4) - m2;
    }
  }
}

void q5_k(const std::byte* __restrict block, float* __restrict out) {
  const float d = half_at(block), dm = half_at(block + 2);
  const std::byte* fifth = block + 16;
  const std::byte* q = block + 48;
  for (int group = 0; group < 8; group += 2, q += 32, out += 64) {
    const ScaleAndMinimum low = packed_scale(block + 4, group);
    const ScaleAndMinimum high = packed_scale(block + 4, group + 1);
    const float d1 = d * low.scale, m1 = dm * low.minimum;
    const float d2 = d * high.scale, m2 = dm * high.minimum;
    for (int j = 0; j < 32; ++j) {
      const int bits = byte_at(fifth + j) >> group;
      out[j] = d1 * static_cast<float>((byte_at(q + j) & 0xF) | (bits & 1) << 4) - m1;
      out[j + 32] = d2 * static_cast<float>(byte_at(q + j) >> 4 | (bits >> 1 & 1) << 4) - m2;
    }
  }
}

void q6_k(const std::byte* __restrict block, float* __restrict out) {
  const std::byte* low = block;
  const std::byte* high = block + 128;
  const std::byte* scales = block + 192;
  const float d = half_at(block + 208);
  for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8, out += 128) {
    std::array<float, 8> scale;
    for (int i = 0; i < 8; ++i) {
      scale[i] = d * static_cast<float>(static_cast<int8_t>(byte_at(scales + i)));
    }
    for (size_t g = 0; g < 2; ++g) {  // one scale for 16 numbers
      const float s0 = scale[g], s2 = scale[g + 2], s4 = scale[g + 4], s6 = scale[g + 6];
      for (size_t j = 16 * g; j < 16 * g + 16; ++j) {
        const int a = byte_at(low + j), b = byte_at(low + j + 32), h = byte_at(high + j);
        out[j] = s0 * static_cast<float>(((a & 0xF) | (h & 3) << 4) - 32);
        out[j + 32] = s2 * static_cast<float>(((b & 0xF) | (h >> 2 & 3) << 4) - 32);
        out[j + 64] = s4 * static_cast<float>((a >> 4 | (h >> 4 & 3) << 4) - 32);
        out[j + 96] = s6 * static_cast<float>((b >> 4 | (h >> 6 & 3) << 4) - 32);
      }
    }
  }
}

// Numbers and scale by halves and doubles, as ggml has them: 2^(e - 128) is always finite.
void mxfp4(const std::byte* block, float* out) {
  constexpr std::array<float, 16> kTwiceE2m1 = {0, 1,  2,  3,  4,  6,  8,  12,
                                                0, -1, -2, -3, -4, -6, -8, -12};
  const uint32_t exponent = byte_at(block);
  const float half_scale =
      std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
  for (int j = 0; j < 16; ++j) {
    const int q = byte_at(block + 1 + j);
    out[j] = kTwiceE2m1[q & 0xF] * half_scale;
    out[j + 16] = kTwiceE2m1[q >> 4] * half_scale;
  }
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

template <typename OneBlock>
void each_block(const BlockFormat& format, std::span<const std::byte> blocks, std::span<float> out,
                OneBlock one_block) {
  const std::byte* block = blocks.data();
  for (size_t at = 0; at < out.size(); at += format.values, block += format.bytes) {
    one_block(block, out.data() + at);
  }
}

}  // namespace

void dequantize(const BlockFormat& format, std::span<const std::byte> blocks,
                std::span<float> out) {
  switch (format.type) {
    case GgmlType::f32:
      if (!out.empty()) std::memcpy(out.data(), blocks.data(), out.size_bytes());
      return;
    case GgmlType::f16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = half_at(blocks.data() + 2 * i);
      return;
    case GgmlType::bf16:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(u16_at(blocks.data() + 2 * i)) << 16);
      }
      return;
    case GgmlType::q4_0:
      return each_block(format, blocks, out, q4_0);
    case GgmlType::q4_1:
      return each_block(format, blocks, out, q4_1);
    case GgmlType::q5_0:
      return each_block(format, blocks, out, q5_0);
    case GgmlType::q5_1:
      return each_block(format, blocks, out, q5_1);
    case GgmlType::q8_0:
      if (has_avx512()) return dequantize_q8_0_avx512(blocks, out);
      return each_block(format, blocks, out, q8_0);
    case GgmlType::q4_k:
      return each_block(format, blocks, out, q4_k);
    case GgmlType::q5_k:
      return each_block(format, blocks, out, q5_k);
    case GgmlType::q6_k:
      return each_block(format, blocks, out, q6_k);
    case GgmlType::mxfp4:
      return each_block(format, blocks, out, mxfp4);
  }
}

}  // namespace llm
