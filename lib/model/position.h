// Where a token stands, in the four ways a model can be told: rotary, learned absolute, sinusoidal,
// ALiBi. Pure functions; angles in float32 as in the models that others trained (a float64 angle
// would differ from theirs in the last digits at long range).
//
// Shapes: B batch, T tokens, H query heads, D head_dim, C hidden_size.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/model_config.h"

namespace llm {

/// The D / 2 angular speeds, theta^(-2i/D) changed by the config's scaling:
///   linear   divided by factor                                 ntk     theta * factor^(D / (D -
///   2)) in place of theta llama3   divided by factor above the long wavelength, kept below the
///   short one, blended between yarn     divided by factor where a pair turns less than beta_slow
///   times in the original length, kept above beta_fast, a linear ramp between
std::vector<double> rope_inverse_frequencies(const ModelConfig& config);
/// What cos and sin are multiplied by: yarn's attention factor, otherwise 1.
double rope_attention_factor(const ModelConfig& config);

struct RopeTable {
  at::Tensor cos, sin;  // float32, (T, D/2) or (B, T, D/2)
};
/// positions (T) or (B, T) int64; inverse_frequencies (D/2) float32.
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
