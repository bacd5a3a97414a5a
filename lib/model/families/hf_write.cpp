// What families write alike.
#include <fmt/format.h>

#include "model/families/hf_keys.h"

namespace llm {
namespace {

HfJson id_json(int64_t id) { return id < 0 ? HfJson(nullptr) : HfJson(id); }

}  // namespace

std::string activation_name(const ModelConfig& c) {
  return c.ffn_type == "swiglu"                                    ? "silu"
         : c.ffn_type == "geglu"                                   ? "gelu"
         : c.ffn_type == "geglu_tanh" || c.ffn_type == "gelu_tanh" ? "gelu_pytorch_tanh"
                                                                   : c.ffn_type;
}

double rotary_share(const ModelConfig& c) {
  return static_cast<double>(c.rotary_size()) / static_cast<double>(c.head_size());
}

HfJson rope_json(const RopeScalingConfig& scaling) {
  if (scaling.rope_type == "none") {
    return nullptr;
  }
  HfJson json = {{"rope_type", scaling.rope_type}};
  if (scaling.rope_type != "longrope" || scaling.factor != 1.0) {
    json["factor"] = scaling.factor;
  }
  const auto add = [&](const char* key, const auto& value) {
    if (value) {
      json[key] = *value;
    }
  };
  add("original_max_position_embeddings", scaling.original_max_position_embeddings);
  add("low_freq_factor", scaling.low_freq_factor);
  add("high_freq_factor", scaling.high_freq_factor);
  add("beta_fast", scaling.beta_fast);
  add("beta_slow", scaling.beta_slow);
  add("attention_factor", scaling.attention_factor);
  if (scaling.rope_type == "longrope") {
    json["short_factor"] = scaling.short_factor;
    json["long_factor"] = scaling.long_factor;
  }
  return json;
}

void write_rope(HfJson& json, const ModelConfig& c, bool partial) {
  HfJson scaling = rope_json(c.rope_scaling);
  HfJson parameters = scaling.is_null() ? HfJson{{"rope_type", "default"}} : scaling;
  parameters["rope_theta"] = c.rope_theta;
  if (!scaling.is_null()) {
    scaling["type"] = c.rope_scaling.rope_type;  // versions before 4.43 read this spelling
  }
  if (partial) {
    parameters["partial_rotary_factor"] = rotary_share(c);
    json["partial_rotary_factor"] = rotary_share(c);
  }
  json["rope_theta"] = c.rope_theta;
  json["rope_scaling"] = scaling;
  json["rope_parameters"] = parameters;
}

void write_ids(HfJson& json, const ModelConfig& c) {
  json["pad_token_id"] = id_json(c.pad_token_id);
  json["bos_token_id"] = id_json(c.bos_token_id);
  json["eos_token_id"] =
      c.further_eos_token_ids.empty() ? id_json(c.eos_token_id) : HfJson(c.end_tokens());
  json["use_cache"] = true;
}

void write_router(HfJson& json, const ModelConfig& c) {
  json["num_experts_per_tok"] = c.experts_per_token();
  json["output_router_logits"] = c.moe.router_aux_loss_coef.has_value();
  json["router_aux_loss_coef"] = c.moe.router_aux_loss_coef.value_or(0.001);
}

void write_layer_types(HfJson& json, const ModelConfig& c) {
  json["sliding_window"] = c.sliding_window ? HfJson(*c.sliding_window) : HfJson(nullptr);
  HfJson types = HfJson::array();
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    types.push_back(c.layer_window(i) ? "sliding_attention" : "full_attention");
  }
  json["layer_types"] = types;
}

void write_common_keys(HfJson& json, const ModelConfig& c) {
  json["vocab_size"] = c.vocab_size;
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.ffn_size();
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["hidden_act"] = activation_name(c);
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["attention_dropout"] = c.attention_dropout_probability();
  json["initializer_range"] = c.initializer_range;
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  write_ids(json, c);
}

void write_llama_keys(HfJson& json, const ModelConfig& c) {
  write_common_keys(json, c);
  json["num_key_value_heads"] = c.key_value_heads();
  json["head_dim"] = c.head_size();
  json["rms_norm_eps"] = c.rms_norm_eps;
  write_rope(json, c);
}

}  // namespace llm
