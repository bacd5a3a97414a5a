// Where a token stands, in the four ways a model can be told: rotary, learned absolute, sinusoidal,
// ALiBi. Pure functions; angles in float32 as in the models that others trained (a float64 angle
// would differ from theirs in the last digits at long range).
//
// Shapes: B batch, T tokens, H query heads, R rotated columns of a head, C hidden_size.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/model_config.h"

namespace llm {

/// The R / 2 angular speeds of R = rotary_size() columns, theta^(-2i/R) changed by the config's
/// scaling:
///   linear    divided by factor
///   ntk       theta * factor^(R / (R - 2)) in place of theta
///   llama3    divided by factor above the long wavelength, kept below the short one, blended
///             between
///   yarn      divided by factor where a pair turns less than beta_slow times in the original
///             length, kept above beta_fast, a linear ramp between
///   longrope  divided pair by pair by short_factor, or by long_factor `beyond_original`: where the
///             text is longer than original_max_position_embeddings
std::vector<double> rope_inverse_frequencies(const ModelConfig& config,
                                             bool beyond_original = false);
/// Those of layers with rope_local_base_freq: never scaled.
std::vector<double> rope_local_inverse_frequencies(const ModelConfig& config);
/// What cos and sin are multiplied by: yarn's attention factor; longrope's, sqrt(1 + ln f / ln
/// original) with f = factor or the ratio of the lengths; otherwise 1.
double rope_attention_factor(const ModelConfig& config);
/// True where the speeds depend on the length of the text.
bool has_long_rope(const ModelConfig& config);
int64_t rope_original_positions(const ModelConfig& config);

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
