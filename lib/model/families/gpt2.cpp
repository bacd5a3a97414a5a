// GPT-2: learned positions, LayerNorm, biases everywhere, matrices stored transposed with q, k and
// v as one.
#include "model/families/all.h"
#include "model/families/gpt.h"

namespace llm {

void read_gpt_keys(HfKeys& keys) {
  keys.rename({{"n_embd", "hidden_size"},
               {"n_layer", "num_hidden_layers"},
               {"n_head", "num_attention_heads"},
               {"n_positions", "max_position_embeddings"},
               {"n_inner", "intermediate_size"},
               {"attn_pdrop", "attention_dropout"},
               {"layer_norm_epsilon", "rms_norm_eps"}});
  keys.require({"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"});
  keys.forget({"n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
               "summary_type", "summary_use_proj"});
  keys.read_activation("activation_function", false, "gelu_new");
  keys.read_dropout("resid_pdrop", "embd_pdrop");
  if (!keys.has("intermediate_size")) {
    keys.set("intermediate_size", 4 * keys.integer("hidden_size"));
  }
  keys.set("norm_type", "layer_norm");
  keys.set("mlp_bias", true);
  keys.set_defaults({{"rms_norm_eps", 1e-5}, {"bos_token_id", 50256}, {"eos_token_id", 50256}});
}

void write_gpt_keys(const ModelConfig& config, HfJson& json) {
  json["vocab_size"] = config.vocab_size;
  json["n_embd"] = config.hidden_size;
  json["n_layer"] = config.num_hidden_layers;
  json["n_head"] = config.num_attention_heads;
  json["n_positions"] = config.max_position_embeddings;
  json["n_inner"] = config.ffn_size();
  json["activation_function"] =
      config.ffn_type == "gelu_tanh" ? "gelu_new" : activation_name(config);
  json["resid_pdrop"] = config.dropout;
  json["embd_pdrop"] = config.dropout;
  json["attn_pdrop"] = config.attention_dropout_probability();
  json["layer_norm_epsilon"] = config.rms_norm_eps;
  json["initializer_range"] = config.initializer_range;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  write_ids(json, config);
}

namespace {

void read_gpt2(HfKeys& keys) {
  read_gpt_keys(keys);
  keys.only("add_cross_attention", false);
  keys.only("scale_attn_by_inverse_layer_idx", false);
  keys.forget({"reorder_and_upcast_attn"});
  if (!keys.take_flag("scale_attn_weights", true)) {
    keys.set("query_pre_attn_scalar", 1.0);
  }
  keys.set("position_embedding_type", "absolute");
  keys.set("attention_bias", true);
  keys.set_defaults({{"max_position_embeddings", 1024},
                     {"attention_dropout", 0.1},
                     {"tie_word_embeddings", true}});
}

void write_gpt2(const ModelConfig& config, HfJson& json) {
  write_gpt_keys(config, json);
  json["n_ctx"] = config.max_position_embeddings;
  json["scale_attn_weights"] = !config.query_pre_attn_scalar.has_value();
}

std::vector<NameRule> rules_gpt2() {
  const std::string theirs = "transformer.h.*.", layer = "model.layers.*.",
                    attention = layer + "self_attn.";
  return {{"transformer.wte", {"model.embed_tokens"}},
          {"transformer.wpe", {"model.embed_positions"}},
          {theirs + "attn.c_attn",
           {attention + "q_proj", attention + "k_proj", attention + "v_proj"},
           StoredLayout::columns},
          {theirs + "attn.c_proj", {attention + "o_proj"}, StoredLayout::columns},
          {theirs + "mlp.c_fc", {layer + "mlp.up_proj"}, StoredLayout::columns},
          {theirs + "mlp.c_proj", {layer + "mlp.down_proj"}, StoredLayout::columns},
          {theirs + "ln_1", {layer + "input_layernorm"}},
          {theirs + "ln_2", {layer + "post_attention_layernorm"}},
          {"transformer.ln_f", {"model.norm"}}};
}

}  // namespace

Family gpt2_family() {
  return {.model_type = "gpt2",
          .architecture = "GPT2LMHeadModel",
          .title = "GPT-2",
          .read = read_gpt2,
          .write = write_gpt2,
          .rules = rules_gpt2,
          .base_prefix = "transformer.",
          .redundant = {".attn.bias", ".attn.masked_bias"}};
}

}  // namespace llm
