// OPT: learned positions that start at row 2, LayerNorm before or after each half, embeddings that
// may be narrower than the model.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_opt(HfKeys& keys) {
  keys.rename({{"ffn_dim", "intermediate_size"}, {"init_std", "initializer_range"}});
  keys.only("layerdrop", 0.0);
  keys.only("layer_norm_elementwise_affine", true);
  const bool before = keys.take_flag("do_layer_norm_before", true);
  const bool removed = keys.take_flag("_remove_final_layer_norm", false);
  const bool biases = keys.take_flag("enable_bias", true);
  keys.set("norm_first", before);
  keys.set("remove_final_norm", removed || !before);
  keys.set("attention_bias", biases);
  keys.set("mlp_bias", biases);
  if (keys.has("word_embed_proj_dim") &&
      keys.integer("word_embed_proj_dim") == keys.integer("hidden_size")) {
    keys.forget({"word_embed_proj_dim"});
  }
  keys.read_activation("activation_function", false, "relu");
  keys.set("position_embedding_type", "absolute");
  keys.set("position_offset", 2);
  keys.set("norm_type", "layer_norm");
  keys.set("rms_norm_eps", 1e-5);
  keys.set_defaults({{"intermediate_size", 3072},
                     {"max_position_embeddings", 2048},
                     {"dropout", 0.1},
                     {"attention_dropout", 0.0},
                     {"tie_word_embeddings", true},
                     {"pad_token_id", 1},
                     {"bos_token_id", 2},
                     {"eos_token_id", 2}});
}

void write_opt(const ModelConfig& config, HfJson& json) {
  json["vocab_size"] = config.vocab_size;
  json["hidden_size"] = config.hidden_size;
  json["num_hidden_layers"] = config.num_hidden_layers;
  json["num_attention_heads"] = config.num_attention_heads;
  json["ffn_dim"] = config.ffn_size();
  json["word_embed_proj_dim"] = config.embedding_size();
  json["max_position_embeddings"] = config.max_position_embeddings;
  json["activation_function"] = activation_name(config);
  json["do_layer_norm_before"] = config.norm_first;
  json["_remove_final_layer_norm"] = config.norm_first && config.remove_final_norm;
  json["enable_bias"] = config.mlp_bias;
  json["layer_norm_elementwise_affine"] = true;
  json["dropout"] = config.dropout;
  json["attention_dropout"] = config.attention_dropout_probability();
  json["layerdrop"] = 0.0;
  json["init_std"] = config.initializer_range;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  write_ids(json, config);
}

std::vector<NameRule> rules_opt() {
  const std::string decoder = "model.decoder.", theirs = decoder + "layers.*.",
                    layer = "model.layers.*.", attention = layer + "self_attn.";
  return {{decoder + "embed_tokens", {"model.embed_tokens"}},
          {decoder + "embed_positions", {"model.embed_positions"}},
          {decoder + "project_in", {"model.project_in"}},
          {decoder + "project_out", {"model.project_out"}},
          {theirs + "self_attn.q_proj", {attention + "q_proj"}},
          {theirs + "self_attn.k_proj", {attention + "k_proj"}},
          {theirs + "self_attn.v_proj", {attention + "v_proj"}},
          {theirs + "self_attn.out_proj", {attention + "o_proj"}},
          {theirs + "fc1", {layer + "mlp.up_proj"}},
          {theirs + "fc2", {layer + "mlp.down_proj"}},
          {theirs + "self_attn_layer_norm", {layer + "input_layernorm"}},
          {theirs + "final_layer_norm", {layer + "post_attention_layernorm"}},
          {decoder + "final_layer_norm", {"model.norm"}}};
}

}  // namespace

Family opt_family() {
  return {.model_type = "opt",
          .architecture = "OPTForCausalLM",
          .title = "OPT",
          .read = read_opt,
          .write = write_opt,
          .rules = rules_opt,
          .base_prefix = "model."};
}

}  // namespace llm
