// Transformer::hidden_states: positions, masks and the walk through the layers.
#include <ATen/ATen.h>

#include "base/error.h"
#include "model/attention_mask.h"
#include "model/block.h"
#include "model/checkpointing.h"
#include "model/kernels/cpu_backend.h"
#include "model/transformer.h"

namespace llm {
namespace {

void check_inputs(const ModelConfig& config, const at::Tensor& ids, const ForwardOptions& options) {
  check(ids.dim() == 2 && ids.scalar_type() == at::kLong,
        "model: input ids must be (batch, tokens) of int64");
  check(ids.numel() > 0, "model: no input ids");
  for (const at::Tensor* shaped :
       {&options.positions, &options.attention_mask, &options.segments}) {
    check(!shaped->defined() || shaped->sizes() == ids.sizes(),
          "model: positions, attention mask and segments must have the shape of the input ids");
  }
  check(!options.segments.defined() || options.cache == nullptr,
        "model: rows of several segments cannot be read into a cache");
  check(
      !config.use_bidirectional_attention || options.cache == nullptr,
      "model: use_bidirectional_attention has no use for a cache: what it holds would change with "
      "every token");
  if (!ids.is_cpu()) {
    return;  // reading the ids back would stop the device; its kernel traps on a wrong one
  }
  const int64_t largest = ids.max().item<int64_t>(), smallest = ids.min().item<int64_t>();
  check(smallest >= 0 && largest < config.vocab_size, "model: token id {} is outside 0 to {}",
        smallest < 0 ? smallest : largest, config.vocab_size - 1);
}

SeenTokens place_tokens(const at::Tensor& ids, const ForwardOptions& options) {
  if (options.cache) {
    options.cache->begin(ids.size(1), options.attention_mask, options.positions);
    return options.cache->seen();
  }
  SeenTokens seen;
  seen.add(ids.size(1), options.attention_mask, options.positions);
  return seen;
}

constexpr uint64_t kEmbeddingDropoutSite = 0;

/// Whether one kernel may do all of attention: nothing looks inside, and scores are only scaled.
bool attends_directly(const ModelConfig& config, const ForwardOptions& options, double dropout) {
  return config.attention_type == "flash2" && options.cache == nullptr && dropout == 0 &&
         config.attn_logit_softcapping.value_or(0.0) == 0 && !options.on_attention;
}

// Longrope's set is chosen once per text: for a cache by what it was made for.
bool beyond_original(const ModelConfig& config, const SeenTokens& seen, KvCache* cache) {
  const int64_t original = rope_original_positions(config);
  if (cache) {
    return cache->reaches_beyond(original);
  }
  const int64_t reach =
      seen.positions.defined() ? seen.positions.max().item<int64_t>() + 1 : seen.length;
  return reach > original;
}

}  // namespace

RopeTable Transformer::rope_of(const at::Tensor& positions, const SeenTokens& seen, KvCache* cache,
                               bool local) const {
  if (!config_.uses_rope()) {
    return {};
  }
  if (local && config_.rope_local_base_freq) {
    return rope_table(positions, local_inverse_frequencies_, 1.0);
  }
  const bool beyond = has_long_rope(config_) && beyond_original(config_, seen, cache);
  return rope_table(positions, beyond ? long_inverse_frequencies_ : inverse_frequencies_,
                    rope_attention_factor_);
}

at::Tensor Transformer::hidden_states(const at::Tensor& input_ids,
                                      const ForwardOptions& options) const {
  check_inputs(config_, input_ids, options);
  const int64_t T = input_ids.size(1);
  const SeenTokens seen = place_tokens(input_ids, options);
  at::Tensor positions =
      seen.positions.defined()
          ? seen.positions.narrow(1, seen.length - T, T)
          : at::arange(seen.length - T, seen.length, input_ids.options());  // (B, T) or (T)
  const auto bias_options =
      flat_.options().dtype(dtype() == at::kDouble ? at::kDouble : at::kFloat);
  const double attention_dropout = options.training ? config_.attention_dropout_probability() : 0.0;
  const bool direct = attends_directly(config_, options, attention_dropout);
  // Elsewhere every layer would make a bias of its own of them.
  const bool fused = direct && has_cpu_backend() && input_ids.is_cpu() && dtype() != at::kDouble;
  const auto pattern = [&](std::optional<int64_t> window) {
    const VisibleKeys keys{T,         seen.length,    !config_.use_bidirectional_attention,
                           seen.mask, seen.positions, options.segments,
                           window};
    LayerPattern made;
    made.rope = rope_of(positions, seen, options.cache, window.has_value());
    made.first_keys = fused ? first_keys(config_, keys, input_ids.device()) : at::Tensor();
    if (made.first_keys.defined()) {
      made.causal_kernel = true;
    } else {
      made.bias = attention_bias(config_, keys, bias_options);
      made.causal_kernel = !config_.use_bidirectional_attention && plain_attention(config_, keys);
    }
    return made;
  };
  PassContext pass{
      .config = config_,
      .options = options,
      .compute_dtype = compute_dtype(),
      .wide = pattern(std::nullopt),
      .windowed = config_.sliding_window ? pattern(config_.sliding_window) : LayerPattern{},
      .dropout = options.training ? config_.dropout : 0.0,
      .attention_dropout = attention_dropout,
      .scale = config_.attention_scale(),
      .direct = direct};
  Stream stream{embed(input_ids, positions), {}};
  if (pass.dropout > 0) {
    stream.residual =
        dropout(stream.residual, pass.dropout, options.dropout.at_site(kEmbeddingDropoutSite));
  }
  const bool recompute = config_.use_gradient_checkpointing && !options.cache;
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const Block& block = layers_[static_cast<size_t>(layer)];
    stream = recompute ? run_checkpointed(block, layer, stream, pass)
                       : run_block(block, layer, stream, pass);
  }
  if (options.cache) {
    options.cache->commit();
  }
  const at::Tensor hidden = add_and_norm(stream, norm_, compute_dtype()).second;  // (B, T, C)
  return project_out_.weight.defined() ? project_out_(hidden) : hidden;
}

at::Tensor Transformer::embed(const at::Tensor& input_ids, const at::Tensor& positions) const {
  at::Tensor x = llm::embedding(input_ids, embed_tokens_);  // (B, T, C)
  if (const auto& factor = config_.embedding_multiplier) {
    // The factor is rounded to the table's format, as those who trained with it had it.
    x = x * at::scalar_tensor(*factor, x.options().requires_grad(false));
  }
  if (project_in_.weight.defined()) {
    x = project_in_(x).to(x.scalar_type());
  }
  if (embed_positions_.defined()) {
    const int64_t last = positions.max().item<int64_t>();
    check(last < config_.max_position_embeddings,
          "model: position {} is not below max_position_embeddings ({})", last,
          config_.max_position_embeddings);
    at::Tensor rows = positions.expand_as(input_ids);
    x = x + llm::embedding(config_.position_offset ? rows + *config_.position_offset : rows,
                           embed_positions_);
  } else if (config_.position_embedding_type == "sinusoidal") {
    x = x + sinusoidal_embedding(positions, config_.hidden_size, x.scalar_type());
  }
  return x;
}

}  // namespace llm
