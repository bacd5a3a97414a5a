// The shape of a model: every key that decides which numbers a Transformer holds and how it
// computes.
//
// Names are Hugging Face's; LLModel's names (d_model, n_layers, ...) are accepted as aliases. A key
// is declared once, in fields(): the run config's `model` section, the flags --model.<key>,
// create-config and the stored config all come from that row. Every key changes what the model
// computes; a key that would be ignored in a given combination (rope_scaling.low_freq_factor
// without llama3 scaling, say) is refused by validate(). llmodel_defaults() has other sizes than
// the default object. Absent optional keys are filled in by resolved values (key_value_heads(),
// head_size(), ffn_size()), never written back. Plain value type: copy freely. No LibTorch here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

/// Stretching RoPE beyond the trained length. Methods: linear (position interpolation,
/// https://arxiv.org/abs/2306.15595), ntk (base change, static), yarn
/// (https://arxiv.org/abs/2309.00071), llama3 (Llama 3.1's wavelength bands), longrope
/// (https://arxiv.org/abs/2402.13753: one divisor per pair, another set beyond the original
/// length). Formulas: rope_inverse_frequencies() in position.h.
struct RopeScalingConfig {
  std::string rope_type = "none";
  double factor = 1.0;  // longrope: 1 = max_position_embeddings / original_max_position_embeddings
  std::optional<int64_t> original_max_position_embeddings{};    // yarn, llama3, longrope; absent =
                                                                // max_position_embeddings
  std::optional<double> low_freq_factor{}, high_freq_factor{};  // llama3: 1, 4
  std::optional<double> beta_fast{}, beta_slow{};               // yarn: 32, 1
  std::optional<double> attention_factor{};  // yarn: 0.1 ln(factor) + 1; longrope: see position.h
  std::vector<double> short_factor{}, long_factor{};  // longrope: one per rotated pair
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

/// A mixture of experts in place of a layer's feed-forward part (moe.h): a router picks
/// num_experts_per_tok of num_experts for every token. Absent num_experts = dense.
struct MoeConfig {
  std::optional<int64_t> num_experts{}, num_experts_per_tok{};  // with num_experts: 2
  std::optional<int64_t> moe_intermediate_size{};               // absent: intermediate_size
  bool norm_topk_prob = false;                   // the chosen experts' weights sum to one
  std::optional<int64_t> decoder_sparse_step{};  // every n-th layer has experts; absent: 1
  std::vector<int64_t> mlp_only_layers{};        // these layers stay dense
  std::optional<double> router_aux_loss_coef{};  // training: weight of the load-balance loss
  void fields(Fields& f);
  bool operator==(const MoeConfig&) const = default;
};

struct ModelConfig {
  std::optional<std::string> model_type;  // the family whose layout and names files have
                                          // (families/families.h); absent: the plainest that fits
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
  std::optional<int64_t> rotary_dim;  // rotated columns of a head, the first ones; absent: all
  std::optional<double> rope_local_base_freq;  // rope_theta of sliding layers, which then are not
                                               // scaled; absent: as the others
  RopeScalingConfig rope_scaling;
  std::optional<int64_t> position_offset;  // absolute: row of the table where position 0 stands

  bool use_bidirectional_attention = false;  // tokens see those after them too, as a model that
                                             // restores masked tokens needs; else none of them
  std::string attention_type =
      "flash2";  // flash2 (fused kernels) or standard (explicit scores): equal results
  std::optional<int64_t>
      sliding_window;  // a query sees itself and the sliding_window - 1 tokens before it
  std::vector<std::string> layer_types;  // "sliding_attention" or "full_attention" per layer;
                                         // empty: sliding_window holds for all
  SparseAttentionConfig sparse_attention;
  bool attention_bias = false;
  std::optional<bool> attention_output_bias;  // of o_proj; absent: attention_bias
  std::optional<std::string> qk_norm;  // RMSNorm of queries and keys: head (each head by itself),
                                       // full (all heads together); absent: none
  std::optional<double> query_pre_attn_scalar;   // scores are divided by its root; absent: head_dim
  std::optional<double> attn_logit_softcapping;  // scores become c tanh(score / c)
  std::optional<double> final_logit_softcapping;  // logits likewise

  std::string ffn_type =
      "swiglu";  // swiglu, geglu, geglu_tanh (gated); gelu, gelu_tanh, relu, silu
  std::optional<std::string>
      hidden_act;  // Hugging Face's name of the activation inside: may only agree with ffn_type
  bool mlp_bias = false;
  bool use_parallel_ffn = false;
  bool separate_ffn_norm = false;  // parallel only: the feed-forward part has its own norm
  MoeConfig moe;                   // its keys lie on this level

  std::string norm_type = "rms_norm";  // rms_norm, layer_norm
  bool norm_first = true;
  bool sublayer_output_norm = false;  // norm of what a sublayer adds; norm_first decides whether
                                      // its input has one too
  bool remove_final_norm = false;
  bool norm_unit_offset = false;  // norms multiply by 1 + weight
  double rms_norm_eps = 1e-6;

  std::optional<int64_t> word_embed_proj_dim;  // width of the embedding table where it is another
                                               // than hidden_size: projections in and out
  std::optional<double> embedding_multiplier;  // embeddings are multiplied by it

  double dropout = 0.0;
  std::optional<double> attention_dropout;  // absent: dropout
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  bool lm_head_bias = false;
  bool use_gradient_checkpointing = false;

  int64_t pad_token_id = 0;
  int64_t bos_token_id = 1;
  int64_t eos_token_id = 2;
  std::vector<int64_t> further_eos_token_ids;  // that end a text as well

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
  int64_t rotary_size() const { return rotary_dim.value_or(head_size()); }
  /// What q k^T is multiplied by.
  double attention_scale() const;
  bool output_bias() const { return attention_output_bias.value_or(attention_bias); }
  int64_t embedding_size() const { return word_embed_proj_dim.value_or(hidden_size); }
  /// Rows of the table of learned positions.
  int64_t position_rows() const { return max_position_embeddings + position_offset.value_or(0); }
  /// The window of one layer: absent where it sees everything before it.
  std::optional<int64_t> layer_window(int64_t layer) const;
  /// True where the layer's rotary wavelengths are those of rope_local_base_freq.
  bool layer_rope_is_local(int64_t layer) const;
  bool layer_has_experts(int64_t layer) const;
  int64_t experts_per_token() const { return moe.num_experts_per_tok.value_or(2); }
  int64_t expert_size() const { return moe.moe_intermediate_size.value_or(ffn_size()); }
  /// eos_token_id where there is one, then the further ones.
  std::vector<int64_t> end_tokens() const;
};

/// A rule over several keys: the key it is reported at, and what is wrong with a config ("" =
/// nothing). fields() registers the same rules as cross checks.
struct ModelRule {
  std::string key;
  std::string (*problem)(const ModelConfig& config);
};
const std::vector<ModelRule>& model_rules();

/// The same model with every absent key filled in by what it means: two configs that compute alike
/// are equal.
ModelConfig resolved(ModelConfig config);

/// Throws Error(usage) naming the keys: "model.hidden_size (100) must be divisible by
/// model.num_attention_heads (7)".
void validate(const ModelConfig& config);

/// The defaults of LLModel (32,000 x 4096, 32 layers, 32 heads, 11008, 4096 positions).
ModelConfig llmodel_defaults();

}  // namespace llm
