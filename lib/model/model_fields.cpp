// The rows of the model section: one per key, with its doc and its check. Keys that few models need
// are hidden: reached by file and dotted flag, written where they say something.
#include "model/families/families.h"
#include "model/model_config.h"

namespace llm {

void RopeScalingConfig::fields(Fields& f) {
  f("rope_type", rope_type, "How positions beyond the trained length are reached",
    one_of({"none", "linear", "ntk", "yarn", "llama3", "longrope"}))
      .alias("type");
  f("factor", factor, "How many times longer the context becomes", in_range(1, 4096));
  f("original_max_position_embeddings", original_max_position_embeddings,
    "yarn, llama3, longrope: the length trained without scaling", in_range(1, 1LL << 31));
  f("low_freq_factor", low_freq_factor,
    "llama3: wavelengths longer than the original length / this are stretched in full (1)",
    in_range(0.001, 1e6));
  f("high_freq_factor", high_freq_factor,
    "llama3: wavelengths shorter than the original length / this stay (4)", in_range(0.001, 1e6));
  f("beta_fast", beta_fast, "yarn: pairs that turn more often than this stay (32)",
    in_range(0.001, 1e6));
  f("beta_slow", beta_slow, "yarn: pairs that turn less often than this are stretched in full (1)",
    in_range(0.001, 1e6));
  f("attention_factor", attention_factor,
    "yarn, longrope: multiplies cos and sin (0.1 ln(factor) + 1)", in_range(0.001, 1000));
  f("short_factor", short_factor, "longrope: divisors of the speeds, one per rotated pair",
    in_range(1e-6, 1e6))
      .hidden();
  f("long_factor", long_factor, "longrope: the divisors where a text exceeds the original length",
    in_range(1e-6, 1e6))
      .hidden();
}

void SparseAttentionConfig::fields(Fields& f) {
  f("block_size", block_size, "Block-sparse attention: tokens per block; absent = dense attention",
    in_range(1, 1 << 20));
  f("local_blocks", local_blocks,
    "Blocks back from its own, its own included, that a token sees (1)", in_range(1, 1 << 20));
  f("global_blocks", global_blocks, "Blocks at the start that every token sees (1)",
    in_range(0, 1 << 20));
}

void MoeConfig::fields(Fields& f) {
  f("num_experts", num_experts, "Experts of a layer, in place of one feed-forward part",
    in_range(1, 1 << 16))
      .when_empty("off")
      .hidden();
  f("num_experts_per_tok", num_experts_per_tok, "Experts that a token is sent to (2)",
    in_range(1, 1 << 16))
      .hidden();
  f("moe_intermediate_size", moe_intermediate_size,
    "Width of one expert; absent = intermediate_size", in_range(1, 1 << 24))
      .hidden();
  f("norm_topk_prob", norm_topk_prob, "The weights of a token's experts sum to one").hidden();
  f("decoder_sparse_step", decoder_sparse_step, "Every n-th layer has experts (1)",
    in_range(1, 10'000))
      .hidden();
  f("mlp_only_layers", mlp_only_layers, "Layers (from 0) without experts", in_range(0, 9'999))
      .hidden();
  f("router_aux_loss_coef", router_aux_loss_coef,
    "Weight of the load-balance loss while training; absent = 0", in_range(0, 100))
      .hidden();
}

void ModelConfig::fields(Fields& f) {
  f("model_type", model_type,
    "Family whose names and layout the saved files have; absent = the plainest that fits",
    matching([](const std::string& name) { return find_family(name) != nullptr; }, family_names()))
      .hidden();
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
  f("rotary_dim", rotary_dim, "Columns of a head that are rotated, the first ones; absent = all",
    in_range(2, 1 << 16))
      .hidden();
  f("rope_local_base_freq", rope_local_base_freq,
    "rope_theta of sliding layers, which are then not scaled; absent = as the others",
    in_range(1, 1e12))
      .hidden();
  f.section("rope_scaling", rope_scaling, "Rotary positions beyond the trained length");
  f("position_offset", position_offset,
    "absolute: row of the table where position 0 stands; absent = 0", in_range(0, 1 << 16))
      .hidden();
  f("use_bidirectional_attention", use_bidirectional_attention,
    "Tokens see those after them too; set by training.objective, for mlm and diffusion")
      .hidden();
  f("attention_type", attention_type,
    "flash2 = fused kernels, standard = explicit scores; equal results",
    one_of({"flash2", "standard"}));
  f("sliding_window", sliding_window,
    "A token sees itself and this many minus one before it; absent = all", in_range(1, 1LL << 31))
      .when_empty("off");
  f("layer_types", layer_types,
    "Per layer: sliding_attention (sliding_window holds) or full_attention; empty = all alike",
    one_of({"sliding_attention", "full_attention"}))
      .hidden();
  f.section("sparse_attention", sparse_attention, "Block-sparse attention");
  f("attention_bias", attention_bias, "Biases in q, k, v and o projections");
  f("attention_output_bias", attention_output_bias,
    "Bias of the o projection; absent = attention_bias")
      .hidden();
  f("qk_norm", qk_norm, "RMSNorm of queries and keys: each head, or all together",
    one_of({"head", "full"}))
      .when_empty("none")
      .hidden();
  f("query_pre_attn_scalar", query_pre_attn_scalar,
    "Attention scores are divided by the root of this; absent = head_dim", in_range(1e-6, 1e9))
      .hidden();
  f("attn_logit_softcapping", attn_logit_softcapping,
    "Attention scores become c tanh(score / c); absent = unchanged", in_range(1e-3, 1e9))
      .when_empty("off")
      .hidden();
  f("final_logit_softcapping", final_logit_softcapping,
    "Logits become c tanh(logit / c); absent = unchanged", in_range(1e-3, 1e9))
      .when_empty("off")
      .hidden();
  f("ffn_type", ffn_type,
    "Feed-forward layer: gated (swiglu, geglu) or plain; _tanh = GELU's cubic",
    one_of({"swiglu", "geglu", "geglu_tanh", "gelu", "gelu_tanh", "relu", "silu"}));
  f("hidden_act", hidden_act,
    "Hugging Face's name of the activation; may only agree with ffn_type, which decides",
    one_of({"silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"}))
      .hidden();
  f("mlp_bias", mlp_bias, "Biases in the feed-forward layer");
  f("use_parallel_ffn", use_parallel_ffn,
    "x + attn(n(x)) + ffn(n(x)) in place of one after the other");
  f("separate_ffn_norm", separate_ffn_norm,
    "With use_parallel_ffn: the feed-forward part has a norm of its own")
      .hidden();
  f.section("", moe);
  f("norm_type", norm_type, "Normalisation", one_of({"rms_norm", "layer_norm"}));
  f("norm_first", norm_first,
    "Normalise before each sublayer (true) or after the residual sum (false)");
  f("sublayer_output_norm", sublayer_output_norm,
    "Normalise what a sublayer adds; norm_first decides whether its input is normalised too")
      .hidden();
  f("remove_final_norm", remove_final_norm, "No norm behind the last layer").hidden();
  f("norm_unit_offset", norm_unit_offset, "Norms multiply by 1 + weight").hidden();
  f("rms_norm_eps", rms_norm_eps, "Added to the variance in every norm", in_range(1e-12, 0.1));
  f("word_embed_proj_dim", word_embed_proj_dim,
    "Width of the embedding table, projected to and from hidden_size; absent = hidden_size",
    in_range(1, 1 << 20))
      .hidden();
  f("embedding_multiplier", embedding_multiplier, "Embeddings are multiplied by it; absent = 1",
    in_range(1e-6, 1e6))
      .hidden();
  f("dropout", dropout,
    "Dropout of embeddings, attention weights and sublayer outputs while training",
    in_range(0, 0.95));
  f("attention_dropout", attention_dropout, "Dropout of attention weights; absent = dropout",
    in_range(0, 0.95));
  f("initializer_range", initializer_range, "Standard deviation of the first weights",
    in_range(1e-6, 10));
  f("tie_word_embeddings", tie_word_embeddings, "The output head is the embedding");
  f("lm_head_bias", lm_head_bias, "Bias of the output head").hidden();
  f("use_gradient_checkpointing", use_gradient_checkpointing,
    "Recompute blocks in the backward pass: less memory, a third more work")
      .alias("gradient_checkpointing");
  f("pad_token_id", pad_token_id, "Padding token, -1 = none", in_range(-1, 100'000'000));
  f("bos_token_id", bos_token_id, "Token before each document, -1 = none",
    in_range(-1, 100'000'000));
  f("eos_token_id", eos_token_id, "Token after each document, -1 = none",
    in_range(-1, 100'000'000));
  f("further_eos_token_ids", further_eos_token_ids, "Tokens that end a text besides eos_token_id",
    in_range(0, 100'000'000))
      .hidden();
  // What a Hugging Face config.json says besides: nothing here computes with it.
  f.ignore({"architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path",
            "use_cache", "pretraining_tp"});
  for (const ModelRule& rule : model_rules()) {
    f.cross_check(rule.key, [this, problem = rule.problem] { return problem(*this); });
  }
}

}  // namespace llm
