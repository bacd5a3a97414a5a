// Qwen3-MoE: Qwen3 with experts in some layers.
#include "model/families/all.h"
#include "model/families/hf_keys.h"
#include "model/families/qwen.h"

namespace llm {
namespace {

void read_qwen3_moe(HfKeys& keys) {
  // Here a window, where used, is every layer's.
  keys.set("max_window_layers", 0);
  read_qwen_keys(keys);
  keys.set("qk_norm", "head");
  keys.rename("num_local_experts", "num_experts");
  keys.read_router();
  if (keys.has("decoder_sparse_step") && keys.integer("decoder_sparse_step") == 1) {
    keys.forget({"decoder_sparse_step"});
  }
  keys.set_defaults({{"intermediate_size", 6144},
                     {"moe_intermediate_size", 768},
                     {"num_experts", 128},
                     {"num_experts_per_tok", 8}});
}

void write_qwen3_moe(const ModelConfig& config, HfJson& json) {
  write_qwen_keys(config, json);
  json["attention_bias"] = config.attention_bias;
  json["moe_intermediate_size"] = config.expert_size();
  json["num_experts"] = config.moe.num_experts.value_or(0);
  json["norm_topk_prob"] = config.moe.norm_topk_prob;
  json["decoder_sparse_step"] = config.moe.decoder_sparse_step.value_or(1);
  json["mlp_only_layers"] = config.moe.mlp_only_layers;
  write_router(json, config);
}

}  // namespace

Family qwen3_moe_family() {
  return {.model_type = "qwen3_moe",
          .architecture = "Qwen3MoeForCausalLM",
          .title = "Qwen3-MoE",
          .read = read_qwen3_moe,
          .write = write_qwen3_moe};
}

}  // namespace llm
