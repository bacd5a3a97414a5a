// Weights held as small codes and a scale each few of them share: what `--quantize` makes of a
// matrix, panel by panel, for the products of packed_linear.h. Only the weights are rounded; inputs
// stay as they are and sums float32.
//
//   int8   -127 .. 127 times largest magnitude / 127 of the output row
//   fp8    e4m3 (OCP 8-bit floating point: 4 bits of exponent, 3 of mantissa, largest 448)
//          times largest magnitude / 448 of the output row
//   int4   -8 .. 7 times a bfloat16 scale for each 32 columns of an output row (the number of
//          largest magnitude there is -8)
//
// (Both forms of magnitude are exact in float32, so a product with int8 or fp8 is the chain of
// additions over the codes, times the scale; in int4 it is the chain over codes times scales.)
//
// A panel has 32 output rows, as there. With 8-bit codes it is [columns][32 bytes], then 32 float
// scales. With int4 it is [groups of 32 columns][[16 pairs of columns][32 bytes], 32 bfloat16
// scales]; the first column of a pair is in the lower half of a byte. What is padding is code 0. A
// row (in int4: a group of it) with a number that is not finite has the scale NaN: broken weights
// show in the output.
//
// No LibTorch, no threads, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/kernels/codes.h"
#include "model/kernels/packed_kernels.h"

namespace llm::packed {

inline constexpr int64_t kGroupColumns = 32;  // that share a scale in int4
inline constexpr int64_t kGroupCodes = kGroupColumns * kPanelRows / 2;  // bytes
inline constexpr int64_t kGroupBytes = kGroupCodes + kPanelRows * 2;
inline constexpr float kLargestFp8 = 448;

/// Of one panel of `columns`, padding included; a multiple of 32.
int64_t code_panel_bytes(Codes codes, int64_t columns);

/// A float32 panel ([columns][32]) into codes. `panel`: code_panel_bytes.
void encode_panel(Codes codes, const float* values, int64_t columns, std::byte* panel);
/// And back, each code times its scale.
void decode_panel(Codes codes, const std::byte* panel, int64_t columns, float* values);

/// A number that has been divided by its scale as an int8 or fp8 code; beyond the largest: that.
uint8_t code8(Codes codes, float scaled);
/// The magnitude 0 .. 448 as e4m3 bits, to nearest, ties to even.
uint8_t fp8_bits(float magnitude);
/// And back: 0 .. 126 are numbers.
float fp8_value(uint8_t bits);

/// As panel_product, in packed_linear_avx2.cpp: every backend has AVX2.
void code_panel_product(Codes codes, const std::byte* panel, const uint16_t* x, int64_t x_stride,
                        int64_t columns, int64_t count, float* y, int64_t y_stride,
                        int64_t outputs);
void code_panel_product(Codes codes, const std::byte* panel, const float* x, int64_t x_stride,
                        int64_t columns, int64_t count, float* y, int64_t y_stride,
                        int64_t outputs);

}  // namespace llm::packed
