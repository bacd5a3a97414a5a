// Phi-3, Phi-4 and Phi-4-mini: Llama with q, k, v and gate, up stored as one matrix each, a rotated
// share of each head, and longrope for the long-context versions.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_phi3(HfKeys& keys) {
  const int64_t trained = keys.take_integer("original_max_position_embeddings", 4096);
  keys.only("attention_bias", false);
  keys.only("mlp_bias", false);
  keys.only("lm_head_bias", false);
  keys.only("full_attn_mod", 1);
  keys.only("interpolate_factor", 1);
  keys.read_partial_rope(1.0);
  if (keys.has("rope_scaling")) {
    nlohmann::json scaling = keys.at("rope_scaling");
    scaling["rope_type"] = "longrope";  // "su" and "yarn" were its names
    scaling["original_max_position_embeddings"] = trained;
    keys.set("rope_scaling", scaling);
  }
  keys.read_activation("hidden_act", true, "silu");
  keys.read_dropout("resid_pdrop", "embd_pdrop");
  keys.set_defaults({{"intermediate_size", 8192},
                     {"max_position_embeddings", 4096},
                     {"rms_norm_eps", 1e-5},
                     {"attention_dropout", 0.0},
                     {"bos_token_id", 1},
                     {"eos_token_id", 32000},
                     {"pad_token_id", 32000}});
}

void write_phi3(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  write_rope(json, config, /*partial=*/true);
  const auto& trained = config.rope_scaling.original_max_position_embeddings;
  json["original_max_position_embeddings"] = trained.value_or(config.max_position_embeddings);
  json["sliding_window"] = config.sliding_window ? HfJson(*config.sliding_window) : HfJson(nullptr);
  json["resid_pdrop"] = config.dropout;
  json["embd_pdrop"] = config.dropout;
}

std::vector<NameRule> rules_phi3() {
  const std::string attention = "model.layers.*.self_attn.", mlp = "model.layers.*.mlp.";
  return {
      {attention + "qkv_proj", {attention + "q_proj", attention + "k_proj", attention + "v_proj"}},
      {mlp + "gate_up_proj", {mlp + "gate_proj", mlp + "up_proj"}}};
}

}  // namespace

Family phi3_family() {
  return {.model_type = "phi3",
          .architecture = "Phi3ForCausalLM",
          .title = "Phi-3, Phi-4",
          .read = read_phi3,
          .write = write_phi3,
          .rules = rules_phi3};
}

}  // namespace llm
