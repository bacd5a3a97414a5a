// GPT-J: attention and feed-forward side by side behind one norm, the first columns of each head
// rotated pair by pair, a bias on the head.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_gptj(HfKeys& keys) {
  keys.rename({{"n_embd", "hidden_size"},
               {"n_layer", "num_hidden_layers"},
               {"n_head", "num_attention_heads"},
               {"n_positions", "max_position_embeddings"},
               {"n_inner", "intermediate_size"},
               {"attn_pdrop", "attention_dropout"},
               {"layer_norm_epsilon", "rms_norm_eps"}});
  keys.require({"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"});
  keys.only("rotary", true);
  keys.only("scale_attn_weights", true);
  keys.forget({"n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
               "summary_type", "summary_use_proj"});
  keys.read_activation("activation_function", false, "gelu_new");
  keys.read_dropout("resid_pdrop", "embd_pdrop");
  if (!keys.has("intermediate_size")) {
    keys.set("intermediate_size", 4 * keys.integer("hidden_size"));
  }
  keys.set("norm_type", "layer_norm");
  keys.set("use_parallel_ffn", true);
  keys.set("mlp_bias", true);
  keys.set("lm_head_bias", true);
  keys.set_defaults({{"rotary_dim", 64},
                     {"max_position_embeddings", 2048},
                     {"attention_dropout", 0.0},
                     {"rms_norm_eps", 1e-5},
                     {"bos_token_id", 50256},
                     {"eos_token_id", 50256}});
}

void write_gptj(const ModelConfig& config, HfJson& json) {
  json["vocab_size"] = config.vocab_size;
  json["n_embd"] = config.hidden_size;
  json["n_layer"] = config.num_hidden_layers;
  json["n_head"] = config.num_attention_heads;
  json["n_positions"] = config.max_position_embeddings;
  json["n_inner"] = config.ffn_size();
  json["rotary_dim"] = config.rotary_size();
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

std::vector<NameRule> rules_gptj() {
  const std::string theirs = "transformer.h.*.", layer = "model.layers.*.",
                    attention = layer + "self_attn.";
  return {{"transformer.wte", {"model.embed_tokens"}},
          {theirs + "attn.q_proj", {attention + "q_proj"}, StoredLayout::rotary_pairs},
          {theirs + "attn.k_proj", {attention + "k_proj"}, StoredLayout::rotary_pairs},
          {theirs + "attn.v_proj", {attention + "v_proj"}},
          {theirs + "attn.out_proj", {attention + "o_proj"}},
          {theirs + "mlp.fc_in", {layer + "mlp.up_proj"}},
          {theirs + "mlp.fc_out", {layer + "mlp.down_proj"}},
          {theirs + "ln_1", {layer + "input_layernorm"}},
          {"transformer.ln_f", {"model.norm"}}};
}

}  // namespace

Family gptj_family() {
  return {.model_type = "gptj",
          .architecture = "GPTJForCausalLM",
          .title = "GPT-J",
          .read = read_gptj,
          .write = write_gptj,
          .rules = rules_gptj,
          .base_prefix = "transformer.",
          .redundant = {".attn.bias", ".attn.masked_bias", ".attn.embed_positions"}};
}

}  // namespace llm
