// One pass through the layers: what all blocks share, and the block itself as a function. Included
// by transformer.cpp; shapes as in transformer.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "model/position.h"
#include "model/transformer.h"

namespace llm {

/// Where tokens stand and what they see, in one kind of layer.
struct LayerPattern {
  RopeTable rope;              // undefined tensors where positions are not rotary
  at::Tensor bias;             // attention's additive bias; undefined: none
  at::Tensor first_keys;       // in place of a bias, for self_attention(); undefined: none
  bool causal_kernel = false;  // causality is the kernel's work (no bias that already holds it)
};

/// Everything about a forward pass that does not depend on the layer.
struct PassContext {
  const ModelConfig& config;  // the model's own
  ForwardOptions options;
  at::ScalarType compute_dtype;
  LayerPattern wide, windowed;  // layers without and with a sliding window
  double dropout;               // 0 outside training
  double attention_dropout;
  double scale;  // of q k^T
  bool direct;   // attention straight from the fused projection, where a layer needs no bias
  const LayerPattern& pattern_of(int64_t layer) const {
    return config.layer_window(layer) ? windowed : wide;
  }
};

/// The residual stream and the part of it that was not yet added: their sum is the block's output.
/// Kept apart so that the next norm adds in one pass.
struct Stream {
  at::Tensor residual;  // (B, T, C) in the masters' dtype
  at::Tensor delta;     // (B, T, C) in the compute dtype, or undefined
};

/// act(gate) * up, or act(up), then down; x (..., C) -> (..., C).
at::Tensor feed_forward(const Mlp& mlp, const at::Tensor& x, const ModelConfig& config);

Stream run_block(const Block& block, int64_t layer, const Stream& in, const PassContext& pass);
/// The same, keeping only the inputs for the backward pass. `block` must live until then; `pass` is
/// copied.
Stream run_checkpointed(const Block& block, int64_t layer, const Stream& in,
                        const PassContext& pass);

/// Adds delta to the residual and normalises: {sum, norm(sum)}; without a norm, {sum, sum}.
std::pair<at::Tensor, at::Tensor> add_and_norm(const Stream& stream, const Norm& norm,
                                               at::ScalarType out_dtype);

}  // namespace llm
