// The shape of a model: every key that decides which numbers a Transformer holds and how it
// computes.
//
// Names are Hugging Face's; LLModel's names (d_model, n_layers, ...) are accepted as aliases. A key
// is declared once, in fields(): the run config's `model` section, the flags --model.<key>,
// create-config and the stored config all come from that row. Every key changes what the model
// computes; a key that would be ignored in a given combination (rope_scaling.low_freq_factor
// without llama3 scaling, say) is refused by validate(). The default object has the sizes of
// feature row A4; llmodel_defaults() has those of row B4. Absent optional keys are filled in by
// resolved values (key_value_heads(), head_size(), ffn_size()), never written back. Plain value
// type: copy freely. No LibTorch here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

/// Stretching RoPE beyond the trained length. Methods: linear (position interpolation,
/// https://arxiv.org/abs/2306.15595), ntk (base change, static), yarn
/// (https://arxiv.org/abs/2309.00071), llama3 (Llama 3.1's wavelength bands). Formulas:
/// rope_inverse_frequencies() in position.h.
struct RopeScalingConfig {
  std::string rope_type = "none";
  double factor = 1.0;
  std::optional<int64_t>
      original_max_position_embeddings{};  // yarn, llama3; absent = max_position_embeddings
  std::optional<double> low_freq_factor{}, high_freq_factor{};  // llama3: 1, 4
  std::optional<double> beta_fast{}, beta_slow{};               // yarn: 32, 1
  std::optional<double> attention_factor{};                     // yarn: 0.1 ln(factor) + 1
  void fields(Fields& f);
  bool operator==(const RopeScalingConfig&) const = default;
};

/// Block-sparse attention: tokens fall into blocks of block_size by their position; a query sees
/// the blocks within local_blocks - 1 of its own and the first global_blocks of the sequence
/// (causality on top where the model is causal). Absent block_size = dense.
struct SparseAttentionConfig {
  std::optional<int64_t> block_size{}, local_blocks{}, global_blocks{};  // with block_size: 1, 1
  void fields(Fields& f);
  bool operator==(const SparseAttentionConfig&) const = default;
};

struct ModelConfig {
  int64_t vocab_size = 50257;
  int64_t hidden_size = 2048;
  int64_t num_hidden_layers = 24;
  int64_t num_attention_heads = 16;
  std::optional<int64_t> num_key_value_heads;  // absent: as many as query heads
  std::optional<int64_t> head_dim;             // absent: hidden_size / num_attention_heads
  std::optional<int64_t> intermediate_size = 8192;
  int64_t max_position_embeddings = 4096;

  std::string position_embedding_type = "rope";  // rope, absolute, sinusoidal, alibi
  std::optional<bool> use_rope;  // LLModel's older key: may only agree with position_embedding_type
  double rope_theta = 10000.0;
  RopeScalingConfig rope_scaling;

  std::string attention_type =
      "flash2";  // flash2 (fused kernels) or standard (explicit scores): equal results
  std::optional<int64_t>
      sliding_window;  // a query sees itself and the sliding_window - 1 tokens before it
  SparseAttentionConfig sparse_attention;
  bool attention_bias = false;

  std::string ffn_type = "swiglu";  // swiglu, geglu (gated); gelu, relu, silu
  std::optional<std::string>
      hidden_act;  // Hugging Face's name of the activation inside: may only agree with ffn_type
  bool mlp_bias = false;
  bool use_parallel_ffn = false;

  std::string norm_type = "rms_norm";  // rms_norm, layer_norm
  bool norm_first = true;
  double rms_norm_eps = 1e-6;

  double dropout = 0.0;
  std::optional<double> attention_dropout;  // absent: dropout
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  bool use_gradient_checkpointing = false;

  int64_t pad_token_id = 0;
  int64_t bos_token_id = 1;
  int64_t eos_token_id = 2;

  void fields(Fields& f);
  bool operator==(const ModelConfig&) const = default;

  int64_t key_value_heads() const;
  int64_t head_size() const;
  /// intermediate_size, or where absent 8/3 * hidden_size (4 * for an ungated feed-forward) rounded
  /// up to a multiple of 256 (64 where hidden_size < 1024).
  int64_t ffn_size() const;
  bool gated_ffn() const;
  bool uses_rope() const { return position_embedding_type == "rope"; }
  double attention_dropout_probability() const { return attention_dropout.value_or(dropout); }
};

/// A rule over several keys: the key it is reported at, and what is wrong with a config ("" =
/// nothing). fields() registers the same rules as cross checks.
struct ModelRule {
  std::string key;
  std::string (*problem)(const ModelConfig& config);
};
const std::vector<ModelRule>& model_rules();

/// Throws Error(usage) naming the keys: "model.hidden_size (100) must be divisible by
/// model.num_attention_heads (7)".
void validate(const ModelConfig& config);

/// The defaults of feature row B4 (32,000 x 4096, 32 layers, 32 heads, 11008, 4096 positions).
ModelConfig llmodel_defaults();

}  // namespace llm
