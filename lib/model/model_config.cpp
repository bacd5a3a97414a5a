#include "model/model_config.h"

#include <fmt/format.h>

#include <cmath>

namespace llm {

void RopeScalingConfig::fields(Fields& f) {
  f("rope_type", rope_type, "How positions beyond the trained length are reached",
    one_of({"none", "linear", "ntk", "yarn", "llama3"}))
      .alias("type");
  f("factor", factor, "How many times longer the context becomes", in_range(1, 4096));
  f("original_max_position_embeddings", original_max_position_embeddings,
    "yarn, llama3: the length trained without scaling", in_range(1, 1LL << 31));
  f("low_freq_factor", low_freq_factor,
    "llama3: wavelengths longer than the original length / this are stretched in full (1)",
    in_range(0.001, 1e6));
  f("high_freq_factor", high_freq_factor,
    "llama3: wavelengths shorter than the original length / this stay (4)", in_range(0.001, 1e6));
  f("beta_fast", beta_fast, "yarn: pairs that turn more often than this stay (32)",
    in_range(0.001, 1e6));
  f("beta_slow", beta_slow, "yarn: pairs that turn less often than this are stretched in full (1)",
    in_range(0.001, 1e6));
  f("attention_factor", attention_factor, "yarn: multiplies cos and sin (0.1 ln(factor) + 1)",
    in_range(0.001, 1000));
}

void SparseAttentionConfig::fields(Fields& f) {
  f("block_size", block_size, "Block-sparse attention: tokens per block; absent = dense attention",
    in_range(1, 1 << 20));
  f("local_blocks", local_blocks,
    "Blocks back from its own, its own included, that a token sees (1)", in_range(1, 1 << 20));
  f("global_blocks", global_blocks, "Blocks at the start that every token sees (1)",
    in_range(0, 1 << 20));
}

void ModelConfig::fields(Fields& f) {
  f("vocab_size", vocab_size, "Rows of the embedding: pieces of the tokenizer",
    in_range(2, 100'000'000));
  f("hidden_size", hidden_size, "Width of the residual stream", in_range(1, 1 << 20))
      .alias("d_model");
  f("num_hidden_layers", num_hidden_layers, "Transformer blocks", in_range(1, 10'000))
      .alias("n_layers");
  f("num_attention_heads", num_attention_heads, "Query heads", in_range(1, 1 << 16))
      .alias("n_heads");
  f("num_key_value_heads", num_key_value_heads,
    "Key/value heads: fewer than query heads = GQA, 1 = MQA, absent = as many",
    in_range(1, 1 << 16))
      .alias("n_kv_heads");
  f("head_dim", head_dim, "Width of one head; absent = hidden_size / num_attention_heads",
    in_range(1, 1 << 16));
  f("intermediate_size", intermediate_size,
    "Width of the feed-forward layer; absent = 8/3 hidden_size (ungated: 4), rounded up",
    in_range(1, 1 << 24))
      .alias("d_ff");
  f("max_position_embeddings", max_position_embeddings,
    "Longest context the model is made for, in tokens", in_range(1, 1LL << 31))
      .alias("max_len");
  f("position_embedding_type", position_embedding_type, "How positions enter",
    one_of({"rope", "absolute", "sinusoidal", "alibi"}))
      .alias("pos_type");
  f("use_rope", use_rope,
    "Older spelling; may only agree with position_embedding_type, which decides")
      .hidden();
  f("rope_theta", rope_theta, "Base of the rotary wavelengths", in_range(1, 1e12));
  f.section("rope_scaling", rope_scaling, "Rotary positions beyond the trained length");
  f("attention_type", attention_type,
    "flash2 = fused kernels, standard = explicit scores; equal results",
    one_of({"flash2", "standard"}));
  f("sliding_window", sliding_window,
    "A token sees itself and this many minus one before it; absent = all", in_range(1, 1LL << 31))
      .when_empty("off");
  f.section("sparse_attention", sparse_attention, "Block-sparse attention");
  f("attention_bias", attention_bias, "Biases in q, k, v and o projections");
  f("ffn_type", ffn_type, "Feed-forward layer: gated (swiglu, geglu) or plain",
    one_of({"swiglu", "geglu", "gelu", "relu", "silu"}));
  f("hidden_act", hidden_act,
    "Hugging Face's name of the activation; may only agree with ffn_type, which decides",
    one_of({"silu", "swish", "gelu", "relu"}))
      .hidden();
  f("mlp_bias", mlp_bias, "Biases in the feed-forward layer");
  f("use_parallel_ffn", use_parallel_ffn,
    "x + attn(n(x)) + ffn(n(x)) in place of one after the other");
  f("norm_type", norm_type, "Normalisation", one_of({"rms_norm", "layer_norm"}));
  f("norm_first", norm_first,
    "Normalise before each sublayer (true) or after the residual sum (false)");
  f("rms_norm_eps", rms_norm_eps, "Added to the variance in every norm", in_range(1e-12, 0.1));
  f("dropout", dropout,
    "Dropout of embeddings, attention weights and sublayer outputs while training",
    in_range(0, 0.95));
  f("attention_dropout", attention_dropout, "Dropout of attention weights; absent = dropout",
    in_range(0, 0.95));
  f("initializer_range", initializer_range, "Standard deviation of the first weights",
    in_range(1e-6, 10));
  f("tie_word_embeddings", tie_word_embeddings, "The output head is the embedding");
  f("use_gradient_checkpointing", use_gradient_checkpointing,
    "Recompute blocks in the backward pass: less memory, a third more work")
      .alias("gradient_checkpointing");
  f("pad_token_id", pad_token_id, "Padding token, -1 = none", in_range(-1, 100'000'000));
  f("bos_token_id", bos_token_id, "Token before each document, -1 = none",
    in_range(-1, 100'000'000));
  f("eos_token_id", eos_token_id, "Token after each document, -1 = none",
    in_range(-1, 100'000'000));
  // What a Hugging Face config.json says besides: nothing here computes with it.
  f.ignore({"architectures", "model_type", "transformers_version", "torch_dtype", "dtype",
            "_name_or_path", "use_cache", "pretraining_tp"});
  for (const ModelRule& rule : model_rules()) {
    f.cross_check(rule.key, [this, problem = rule.problem] { return problem(*this); });
  }
}

int64_t ModelConfig::key_value_heads() const {
  return num_key_value_heads.value_or(num_attention_heads);
}

int64_t ModelConfig::head_size() const {
  return head_dim.value_or(hidden_size / num_attention_heads);
}

bool ModelConfig::gated_ffn() const { return ffn_type == "swiglu" || ffn_type == "geglu"; }

int64_t ModelConfig::ffn_size() const {
  if (intermediate_size) {
    return *intermediate_size;
  }
  const int64_t wanted = gated_ffn() ? (8 * hidden_size + 2) / 3 : 4 * hidden_size;
  const int64_t multiple = hidden_size < 1024 ? 64 : 256;
  return (wanted + multiple - 1) / multiple * multiple;
}

void validate(const ModelConfig& config) {
  for (const ModelRule& rule : model_rules()) {
    std::string problem = rule.problem(config);
    if (!problem.empty()) {
      fail(Exit::usage, std::move(problem));
    }
  }
}

ModelConfig llmodel_defaults() {
  ModelConfig config;
  config.vocab_size = 32000;
  config.hidden_size = 4096;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 32;
  config.intermediate_size = 11008;
  config.max_position_embeddings = 4096;
  return config;
}

}  // namespace llm
