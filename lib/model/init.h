// First values of the parameters: one table (initial_std in init.cpp). Matrices and embeddings N(0,
// initializer_range); the projections that write into the residual stream (o_proj, down_proj)
// divided by sqrt(2 * num_hidden_layers), as GPT-2; norms 1 (0 where they multiply by 1 + weight);
// biases 0. Every parameter draws from its own counter-based stream keyed by the seed and its name,
// so the values depend neither on order, dtype, device nor thread count (other dtypes are rounded
// from float32).
#pragma once

#include <cstdint>

#include "model/transformer.h"

namespace llm {

/// Standard deviation of a parameter's first values; 0 = constant (1 for norm weights, 0 for
/// biases).
double initial_std(const ModelConfig& config, const Parameter& parameter);
void initialize(Transformer& model, uint64_t seed);

}  // namespace llm
