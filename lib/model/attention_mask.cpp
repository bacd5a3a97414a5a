#include "model/attention_mask.h"

#include <ATen/ATen.h>

#include <cmath>

#include "model/position.h"

namespace llm {
namespace {

// (1 or B, Tq or 1, 1 or Tk) each, so that they broadcast to (B, Tq, Tk).
struct Places {
  at::Tensor query, key;
};

Places positions_of(const VisibleKeys& keys, const at::Device& device) {
  at::Tensor all =
      keys.key_positions.defined()
          ? keys.key_positions
          : at::arange(keys.key_tokens, at::TensorOptions(at::kLong).device(device)).unsqueeze(0);
  at::Tensor query = all.narrow(1, keys.key_tokens - keys.query_tokens, keys.query_tokens);
  return {query.unsqueeze(2), all.unsqueeze(1)};
}

at::Tensor floor_blocks(const at::Tensor& positions, int64_t block_size) {
  return at::floor_divide(positions, block_size);
}

// What the pattern hides, causality aside: (1 or B, Tq, Tk) bool, or undefined.
at::Tensor hidden_by_pattern(const ModelConfig& c, const VisibleKeys& keys,
                             const Places& at_places) {
  if (keys.window) {
    return (at_places.query - at_places.key).abs() >= *keys.window;
  }
  if (const auto& sparse = c.sparse_attention; sparse.block_size) {
    at::Tensor query_block = floor_blocks(at_places.query, *sparse.block_size),
               key_block = floor_blocks(at_places.key, *sparse.block_size);
    at::Tensor far = (query_block - key_block).abs() >= sparse.local_blocks.value_or(1);
    return far.logical_and(key_block >= sparse.global_blocks.value_or(1));
  }
  return {};
}

bool pattern_is_dense(const ModelConfig& c, const VisibleKeys& keys) {
  if (c.sparse_attention.block_size) {
    return keys.key_tokens <=
           *c.sparse_attention.block_size * std::max(c.sparse_attention.local_blocks.value_or(1),
                                                     c.sparse_attention.global_blocks.value_or(1));
  }
  return !keys.window || keys.key_tokens <= *keys.window;
}

/// (B, T - 1) bool: the token is of the segment before it. Undefined: one segment.
at::Tensor goes_on(const VisibleKeys& keys) {
  if (!keys.segments.defined()) {
    return {};
  }
  const int64_t T = keys.query_tokens;
  return keys.segments.narrow(1, 1, T - 1) == keys.segments.narrow(1, 0, T - 1);
}

/// Within a segment positions are as far apart as places, so that a window is a run of places.
bool positions_counted(const VisibleKeys& keys, const at::Tensor& same) {
  if (!keys.key_positions.defined()) {
    return true;
  }
  const int64_t T = keys.key_tokens;
  const at::Tensor steps =
      keys.key_positions.narrow(1, 1, T - 1) - keys.key_positions.narrow(1, 0, T - 1);
  const at::Tensor next = steps == 1;
  return (same.defined() ? next.logical_or(same.logical_not()) : next).all().item<bool>();
}

}  // namespace

bool plain_attention(const ModelConfig& config, const VisibleKeys& keys) {
  // Explicit positions may be anything, so only counted ones prove that a pattern hides nothing.
  const bool dense =
      pattern_is_dense(config, keys) &&
      (!keys.key_positions.defined() || (!keys.window && !config.sparse_attention.block_size));
  return dense && config.position_embedding_type != "alibi" && !keys.key_mask.defined() &&
         !keys.segments.defined();
}

at::Tensor first_keys(const ModelConfig& config, const VisibleKeys& keys,
                      const at::Device& device) {
  const bool sparse = config.sparse_attention.block_size && !pattern_is_dense(config, keys);
  const bool beginnings = keys.causal && keys.query_tokens == keys.key_tokens &&
                          !keys.key_mask.defined() && !sparse &&
                          config.position_embedding_type != "alibi";
  const at::Tensor same = beginnings ? goes_on(keys) : at::Tensor();
  if (!beginnings || (keys.window && !positions_counted(keys, same))) {
    return {};
  }
  const bool windowed = keys.window && !pattern_is_dense(config, keys);
  if (!windowed && !same.defined()) {
    return {};
  }
  const int64_t T = keys.query_tokens;
  const at::Tensor places =
      at::arange(T, at::TensorOptions(at::kLong).device(device)).unsqueeze(0);  // (1, T)
  at::Tensor first = windowed ? (places - (*keys.window - 1)).clamp_min(0) : at::zeros_like(places);
  if (same.defined()) {
    const at::Tensor begins =
        places.narrow(1, 1, T - 1).masked_fill(same, 0);  // (B, T - 1): its place, or 0
    const at::Tensor start = at::constant_pad_nd(std::get<0>(begins.cummax(1)), {1, 0}, 0);
    first = at::maximum(first, start);
  }
  return first.to(at::kInt);
}

at::Tensor attention_bias(const ModelConfig& config, const VisibleKeys& keys,
                          const at::TensorOptions& options) {
  if (plain_attention(config, keys)) {
    return {};
  }
  const Places at_places = positions_of(keys, options.device());
  at::Tensor hidden = hidden_by_pattern(config, keys, at_places);
  if (keys.key_mask.defined()) {
    at::Tensor padding = keys.key_mask.logical_not().unsqueeze(1);  // (B, 1, Tk)
    hidden = hidden.defined() ? hidden.logical_or(padding) : padding;
  }
  if (keys.segments.defined()) {
    at::Tensor elsewhere = keys.segments.unsqueeze(2) != keys.segments.unsqueeze(1);  // (B, Tq, Tk)
    hidden = hidden.defined() ? hidden.logical_or(elsewhere) : elsewhere;
  }
  if (keys.causal) {
    at::Tensor later = at::ones({keys.query_tokens, keys.key_tokens}, options.dtype(at::kBool))
                           .triu(keys.key_tokens - keys.query_tokens + 1)
                           .unsqueeze(0);
    hidden = hidden.defined() ? hidden.logical_or(later) : later;
  }
  at::Tensor bias;
  if (config.position_embedding_type == "alibi") {
    const std::vector<double> slopes = alibi_slopes(config.num_attention_heads);
    at::Tensor slope =
        at::tensor(slopes, at::TensorOptions(at::kDouble)).to(options).view({1, -1, 1, 1});
    bias = slope *
           (at_places.query - at_places.key).abs().neg().unsqueeze(1).to(options);  // (1 or B, H,
                                                                                    // Tq, Tk)
  } else {
    bias = at::zeros({1, 1, keys.query_tokens, keys.key_tokens}, options);
  }
  return hidden.defined() ? bias.masked_fill(hidden.unsqueeze(1), -INFINITY) : bias;
}

}  // namespace llm
