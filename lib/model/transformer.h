// The Transformer: one decoder (or, with causal off, encoder) in plain structs and functions over
// model/kernels/kernels.h.
//
// Every parameter is a leaf tensor that lies in ONE flat buffer per model, one after another
// without gaps, in the order of named_parameters(): embed_tokens (project_in, embed_positions),
// then per layer q k v (adjacent: one fused product), their biases, o, norms of q and k, gate up
// (adjacent), down (or the router, then these for each expert), norms; the final norm
// (project_out); lm_head unless tied. So an optimizer can work on flat_parameters() and
// flat_gradients() as single vectors, and checkpoints walk named_parameters(), whose names are
// Hugging Face's Llama names.
//
// dtype: float32 masters with compute_dtype bfloat16/float16 is mixed precision: products use a
// rounded flat copy, made by the constructor's set_compute_dtype() and brought up to date by
// refresh_compute_copy() (or written by the optimizer's kernel) after each step; the residual
// stream stays float32. A bfloat16 model (bf16-true, inference) computes in bfloat16 throughout.
//
// Shapes: B batch, T tokens, C hidden_size, H query heads, K key/value heads, D head_dim, F
// intermediate_size, E experts, V vocab. Threads: const functions may run concurrently on different
// caches, provided nobody changes the parameters meanwhile.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/kernels/kernels.h"
#include "model/kv_cache.h"
#include "model/model_config.h"
#include "model/parameter_kind.h"
#include "model/position.h"

namespace llm {

struct Parameter {
  std::string name;    // "model.layers.0.self_attn.q_proj.weight"
  at::Tensor tensor;   // leaf, requires_grad; a window of the flat buffer
  int64_t offset = 0;  // first element in the flat buffer
  ParameterKind kind = ParameterKind::matrix;
  int64_t layer = -1;  // -1: outside the layers
};

/// What an adapter adds to a product (lora_linear.h).
struct LoraTensors {
  at::Tensor a, b;  // (rank, in), (out, rank) in the compute dtype
  double scale = 1;
  at::Tensor operator()(const at::Tensor& x) const;
};

/// The one seam for weights: what computes y = x W^T + b, and what an adapter adds to it. Later
/// states (quantised, sharded) live here and attention and MLP never learn of it.
struct Linear {
  Weight weight;                            // (out, in)
  Weight bias;                              // undefined: none
  std::shared_ptr<const LoraTensors> lora;  // null: none
  at::Tensor operator()(const at::Tensor& x) const {
    const at::Tensor y = linear(x, weight, bias);
    return lora ? y.add((*lora)(x)) : y;
  }
};

/// Linears of one input whose weights are adjacent in memory: q, k, v or gate, up. Computes them as
/// one product, concatenated in the last dimension.
struct PackedLinear {
  std::vector<Linear> parts;
  Weight packed, packed_bias;  // views over all parts
  at::Tensor operator()(const at::Tensor& x) const;
};

struct Norm {
  at::Tensor weight, bias;  // bias: LayerNorm only
  double eps = 1e-6;
  bool rms = true;
  bool unit_offset = false;  // multiplies by 1 + weight
  bool defined() const { return weight.defined(); }
  at::Tensor scale() const;  // what it multiplies by
  at::Tensor operator()(const at::Tensor& x, at::ScalarType out_dtype) const;
};

struct Attention {
  PackedLinear qkv_proj;
  Linear o_proj;
  Norm q_norm, k_norm;  // undefined: none
};

struct Mlp {
  PackedLinear gate_up_proj;  // gated types; ungated: one part, up_proj
  Linear down_proj;
};

/// A mixture of experts (moe.h).
struct Moe {
  Linear router;  // (E, C)
  std::vector<Mlp> experts;
};

/// Norms by what they do; undefined where the config has none there. With norm_first false and no
/// output norms the first two work on the sum behind their half.
struct Block {
  Norm attention_norm, ffn_norm;
  Norm attention_output_norm, ffn_output_norm;
  Attention self_attn;
  Mlp mlp;  // empty where the layer has experts
  Moe moe;
};

struct ForwardOptions {
  KvCache* cache = nullptr;  // append this call's keys and values; queries also see what it holds
  at::Tensor positions{};    // (B, T) int64; undefined: counted from the cache's length, or from
                             // attention_mask
  at::Tensor attention_mask{};  // (B, T) bool or integers, 1 = real token: padding (left or right)
                                // of THIS call's tokens; the cache remembers earlier ones
  at::Tensor segments{};  // (B, T) int64: a token sees only those of its own segment, a run of
                          // neighbours, for rows that hold several texts; undefined: one. Not with
                          // a cache. Their positions are the caller's to give
  bool training = false;  // dropout on
  DropoutKey dropout{};   // one key per optimizer step; first_row = global index of the first row
  double router_loss_scale = 1.0;  // training with experts: weight of this batch's load-balance
                                   // loss beside router_aux_loss_coef (its share of the step)
  /// For looking inside: gets each layer's attention weights (B, H, T, Tk) float32. Slow; changes
  /// no result.
  std::function<void(int64_t layer, const at::Tensor& weights)> on_attention{};
};

class Transformer {
 public:
  /// Uninitialised parameters (call initialize() or load). dtype float32, bfloat16 (or float64 for
  /// tests).
  Transformer(const ModelConfig& config, at::ScalarType dtype, at::Device device = at::kCPU);
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  const ModelConfig& config() const { return config_; }
  at::ScalarType dtype() const { return flat_.scalar_type(); }
  at::Device device() const { return flat_.device(); }

  /// ids (B, T) int64 -> (B, T, C) after the final norm, in the compute dtype (C: embedding_size()
  /// where that is another).
  at::Tensor hidden_states(const at::Tensor& input_ids, const ForwardOptions& options = {}) const;
  /// hidden (..., C) -> (..., V) in the compute dtype.
  at::Tensor logits(const at::Tensor& hidden) const;
  /// Loss of logits(hidden), as linear_cross_entropy() defines it; that kernel where the head is a
  /// product and nothing more.
  CrossEntropy cross_entropy(const at::Tensor& hidden, const at::Tensor& targets, double scale,
                             const at::Tensor& row_weights = {}) const;
  /// The head's weight (V, C): lm_head, or the embedding where tied.
  const Weight& output_weight() const { return output_; }

  const std::vector<Parameter>& named_parameters() const { return parameters_; }
  const Parameter* find_parameter(const std::string& name) const;
  const at::Tensor& flat_parameters() const { return flat_; }
  /// One flat gradient in the parameters' dtype, zero at first; every parameter's .grad() is its
  /// window. Made on the first call.
  const at::Tensor& flat_gradients();

  /// bfloat16 or float16: products run on a rounded copy from now on. The model's own dtype: no
  /// copy.
  void set_compute_dtype(at::ScalarType dtype);
  at::ScalarType compute_dtype() const {
    return compute_.defined() ? compute_.scalar_type() : flat_.scalar_type();
  }
  /// The flat rounded copy, as long as flat_parameters(); undefined where there is none. AdamW's
  /// kernel may write it directly.
  const at::Tensor& flat_compute_copy() const { return compute_; }
  void refresh_compute_copy();

  /// A Transformer over the same parameters (changes show in both) whose Linears add these deltas,
  /// by parameter.
  using LoraByParameter = std::map<std::string, std::shared_ptr<const LoraTensors>>;
  std::unique_ptr<Transformer> sharing_parameters(LoraByParameter loras) const;

 private:
  struct SharedTag {};
  Transformer(const Transformer& other, SharedTag);
  void bind_modules();
  Weight weight_of(const std::string& name) const;
  Linear linear_of(const std::string& name) const;
  PackedLinear packed_of(const std::vector<std::string>& names) const;
  Norm norm_of(const std::string& name) const;
  Mlp mlp_of(const std::string& prefix) const;
  Block block_of(int64_t layer) const;
  RopeTable rope_of(const at::Tensor& positions, const SeenTokens& seen, KvCache* cache,
                    bool local) const;
  at::Tensor embed(const at::Tensor& input_ids, const at::Tensor& positions) const;

  ModelConfig config_;
  at::Tensor flat_, gradients_, compute_;
  std::vector<Parameter> parameters_;
  std::map<std::string, size_t> parameter_index_;
  LoraByParameter loras_;
  at::Tensor embed_tokens_, embed_positions_;  // embed_positions_: absolute only
  Linear project_in_, project_out_;            // undefined: the embedding is as wide as the model
  std::vector<Block> layers_;
  Norm norm_;
  Weight output_, output_bias_;
  at::Tensor inverse_frequencies_;        // rope: (R / 2) float32
  at::Tensor long_inverse_frequencies_;   // longrope: beyond the original length
  at::Tensor local_inverse_frequencies_;  // of sliding layers, where they differ
  double rope_attention_factor_ = 1.0;
};

}  // namespace llm
