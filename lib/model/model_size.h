// Closed forms for what a model costs: parameters, FLOPs, bytes. Tests hold them equal to the built
// model. Formulas: FLOPs per token as in most training reports, 6 N_matmul + 12 L d_attn T for a
// training step (the attention term in full, not halved for causality), a third of it for a forward
// pass. N_matmul counts every matrix that a token is multiplied with (lm_head included, tied or
// not; of experts only as many as a token is sent to), not the embedding lookup, norms or biases.
#pragma once

#include <cstdint>

#include "model/model_config.h"

namespace llm {

int64_t parameter_count(const ModelConfig& config);
int64_t matmul_parameter_count(const ModelConfig& config);
double training_flops_per_token(const ModelConfig& config, int64_t sequence_length);
double forward_flops_per_token(const ModelConfig& config, int64_t context_length);
/// Keys and values of one token over all layers.
int64_t kv_cache_bytes_per_token(const ModelConfig& config, int64_t bytes_per_element);
/// Bytes read per decoded token: every matrix once plus one embedding row.
int64_t decode_weight_bytes(const ModelConfig& config, int64_t bytes_per_element);

}  // namespace llm
