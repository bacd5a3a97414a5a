// Mixtral: Mistral with experts in every layer, https://arxiv.org/abs/2401.04088.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_mixtral(HfKeys& keys) {
  keys.read_rope(1e6);
  keys.read_activation("hidden_act", true, "silu");
  keys.rename("num_local_experts", "num_experts");
  keys.only("router_jitter_noise", 0.0);
  keys.only("attention_bias", false);
  keys.only("mlp_bias", false);
  keys.read_router();
  keys.set("norm_topk_prob", true);
  keys.set_defaults({{"intermediate_size", 14336},
                     {"num_key_value_heads", 8},
                     {"max_position_embeddings", 131072},
                     {"rms_norm_eps", 1e-5},
                     {"num_experts", 8},
                     {"num_experts_per_tok", 2},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2}});
}

void write_mixtral(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  json["sliding_window"] = config.sliding_window ? HfJson(*config.sliding_window) : HfJson(nullptr);
  json["intermediate_size"] = config.expert_size();
  json["num_local_experts"] = config.moe.num_experts.value_or(0);
  write_router(json, config);
}

std::vector<NameRule> rules_mixtral() {
  const std::string layer = "model.layers.*.", experts = layer + "mlp.experts.*.",
                    theirs = layer + "block_sparse_moe.";
  return {{theirs + "gate", {layer + "mlp.gate"}},
          {theirs + "experts.*.w1", {experts + "gate_proj"}},
          {theirs + "experts.*.w2", {experts + "down_proj"}},
          {theirs + "experts.*.w3", {experts + "up_proj"}}};
}

}  // namespace

Family mixtral_family() {
  return {.model_type = "mixtral",
          .architecture = "MixtralForCausalLM",
          .title = "Mixtral",
          .read = read_mixtral,
          .write = write_mixtral,
          .rules = rules_mixtral,
          .redundant = {"rotary_emb.inv_freq"}};
}

}  // namespace llm
