// Where a token stands, in the four ways a model can be told: rotary, learned absolute, sinusoidal,
// ALiBi. Pure functions; angles in float32 as in the models that others trained (a float64 angle
// would differ from theirs in the last digits at long range).
//
// Shapes: B batch, T tokens, H query heads, R rotated columns of a head, C hidden_size.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/rope_frequencies.h"

namespace llm {

struct RopeTable {
  at::Tensor cos, sin;  // float32, (T, R/2) or (B, T, R/2)
};
/// positions (T) or (B, T) int64; inverse_frequencies (R/2) float32.
RopeTable rope_table(const at::Tensor& positions, const at::Tensor& inverse_frequencies,
                     double attention_factor);

/// ALiBi's slopes, https://arxiv.org/abs/2108.12409: 2^(-8 i / H), i = 1..H, for a power of two;
/// otherwise those of the next lower power of two, then every second one of twice that, as the
/// paper's code does.
std::vector<double> alibi_slopes(int64_t num_heads);

/// positions (...) int64 -> (..., C): sin at even columns, cos at odd ones, wavelengths 2 pi to
/// 10000 * 2 pi.
at::Tensor sinusoidal_embedding(const at::Tensor& positions, int64_t hidden_size,
                                at::ScalarType dtype);

}  // namespace llm
