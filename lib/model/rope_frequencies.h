// How fast the pairs of a head turn with rotary positions, by the config's scaling. No LibTorch.
//
// R rotated columns of a head.
#pragma once

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

}  // namespace llm
