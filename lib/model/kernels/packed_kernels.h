// The inner loops behind packed_linear.h and kv_blocks.h, on raw memory; compiled for each
// instruction set (*_avx512.cpp, *_avx2.cpp). No threads, no allocation. T is uint16_t (the bits of
// a bfloat16) or float.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/cpu_backend.h"

namespace llm::packed {

inline constexpr int64_t kPanelRows = 32;
inline constexpr int kRowsAtOnce = 12;  // rows of x that a panel meets at a time: 12 x 2 registers
                                        // of sums, 2 of weights, 1 of x of the 32 there are

/// x rounded to nearest even as bfloat16 bits, or x itself.
template <typename T>
inline T stored(float x);
template <>
inline float stored<float>(float x) {
  return x;
}
template <>
inline uint16_t stored<uint16_t>(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// And back, exactly.
inline float widened(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

namespace avx512 {
#include "model/kernels/packed_functions.h"
}
namespace avx2 {
#include "model/kernels/packed_functions.h"
}

LLM_CHOOSE_BACKEND(panel_product)
LLM_CHOOSE_BACKEND(panel_product_add)
LLM_CHOOSE_BACKEND(dequantise_keys)
LLM_CHOOSE_BACKEND(dequantise_values)
LLM_CHOOSE_BACKEND(softmax)
LLM_CHOOSE_BACKEND(add_rms_norm)
LLM_CHOOSE_BACKEND(gated_activation)
LLM_CHOOSE_BACKEND(store_row)
LLM_CHOOSE_BACKEND(rotate)
LLM_CHOOSE_BACKEND(pack_rows)
LLM_CHOOSE_BACKEND(round_to_bfloat)

/// As dequantise_keys and dequantise_values, of e4m3 (in kv_codes_avx2.cpp: every backend has
/// AVX2).
void dequantise_fp8_keys(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel);
void dequantise_fp8_keys(const int8_t* keys, const float* scales, int64_t dim, float* panel);
void dequantise_fp8_values(const int8_t* values, const float* scales, int64_t dim,
                           uint16_t* panels);
void dequantise_fp8_values(const int8_t* values, const float* scales, int64_t dim, float* panels);

}  // namespace llm::packed
