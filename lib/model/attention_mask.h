// Which keys a query sees, and ALiBi's bias, as one additive bias per forward pass; nothing where
// the plain causal kernel suffices.
//
// Distances and blocks are counted in positions, not in places of the batch, so that a left-padded
// row sees what it would see alone; causality goes by place. Shapes: B batch, H query heads, Tq new
// tokens, Tk all tokens (cached ones first; the new ones are the last Tq).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "model/model_config.h"

namespace llm {

struct VisibleKeys {
  int64_t query_tokens = 0, key_tokens = 0;
  bool causal = true;
  at::Tensor key_mask;            // (B, Tk) bool, true = real token; undefined: all real
  at::Tensor key_positions;       // (B, Tk) int64; undefined: 0, 1, 2, ...
  at::Tensor segments;            // (B, Tq) int64, Tq = Tk, each a run of neighbours: a token sees
                                  // its own; undefined: one
  std::optional<int64_t> window;  // of the layer: it sees itself and window - 1 tokens before it
};

/// True where attention is dense up to causality: no bias is needed.
bool plain_attention(const ModelConfig& config, const VisibleKeys& keys);

/// The first key that each query sees, (1 or B, Tq) int32, where causal attention hides nothing but
/// what lies before it: the segments of a row, a window over positions that are counted within
/// each. Undefined where nothing is hidden, and where it takes a bias.
at::Tensor first_keys(const ModelConfig& config, const VisibleKeys& keys, const at::Device& device);

/// (1 or B, 1 or H, Tq, Tk), 0 or ALiBi's -slope * distance where visible, -inf where hidden
/// (causality included). Undefined where plain_attention().
at::Tensor attention_bias(const ModelConfig& config, const VisibleKeys& keys,
                          const at::TensorOptions& options);

}  // namespace llm
