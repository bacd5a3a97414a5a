// GPT-NeoX and Pythia: q, k and v stored head by head as one matrix, a rotated share of each head,
// attention and feed-forward side by side with a norm each.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_gpt_neox(HfKeys& keys) {
  keys.rename({{"rotary_emb_base", "rope_theta"},
               {"layer_norm_eps", "rms_norm_eps"},
               {"hidden_dropout", "dropout"}});
  keys.only("is_decoder", keys.has("is_decoder") ? keys.at("is_decoder") : nlohmann::json());
  const double theta = keys.take_number("rope_theta", 10000.0);
  keys.set("rope_theta", theta);
  keys.read_partial_rope(keys.take_number("rotary_pct", 0.25));
  keys.read_activation("hidden_act", false, "gelu");
  const bool parallel = keys.take_flag("use_parallel_residual", true);
  keys.set("use_parallel_ffn", parallel);
  keys.set("separate_ffn_norm", parallel);
  keys.set("norm_type", "layer_norm");
  keys.set("mlp_bias", true);
  keys.set_defaults({{"attention_bias", true},
                     {"intermediate_size", 24576},
                     {"max_position_embeddings", 2048},
                     {"attention_dropout", 0.0},
                     {"rms_norm_eps", 1e-5},
                     {"bos_token_id", 0},
                     {"eos_token_id", 2}});
}

void write_gpt_neox(const ModelConfig& config, HfJson& json) {
  write_common_keys(json, config);
  write_rope(json, config, /*partial=*/true);
  json.erase("partial_rotary_factor");
  json["rotary_pct"] = rotary_share(config);
  json["rotary_emb_base"] = config.rope_theta;
  json["layer_norm_eps"] = config.rms_norm_eps;
  json["hidden_dropout"] = config.dropout;
  json["attention_bias"] = config.attention_bias;
  json["use_parallel_residual"] = config.use_parallel_ffn;
}

std::vector<NameRule> rules_gpt_neox() {
  const std::string theirs = "gpt_neox.layers.*.", layer = "model.layers.*.",
                    attention = layer + "self_attn.";
  return {{"gpt_neox.embed_in", {"model.embed_tokens"}},
          {theirs + "attention.query_key_value",
           {attention + "q_proj", attention + "k_proj", attention + "v_proj"},
           StoredLayout::heads},
          {theirs + "attention.dense", {attention + "o_proj"}},
          {theirs + "mlp.dense_h_to_4h", {layer + "mlp.up_proj"}},
          {theirs + "mlp.dense_4h_to_h", {layer + "mlp.down_proj"}},
          {theirs + "input_layernorm", {layer + "input_layernorm"}},
          {theirs + "post_attention_layernorm", {layer + "post_attention_layernorm"}},
          {"gpt_neox.final_layer_norm", {"model.norm"}},
          {"embed_out", {"lm_head"}}};
}

}  // namespace

Family gpt_neox_family() {
  return {.model_type = "gpt_neox",
          .architecture = "GPTNeoXForCausalLM",
          .title = "GPT-NeoX, Pythia",
          .read = read_gpt_neox,
          .write = write_gpt_neox,
          .rules = rules_gpt_neox,
          .base_prefix = "gpt_neox.",
          .redundant = {".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"}};
}

}  // namespace llm
