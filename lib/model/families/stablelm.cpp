// StableLM: Llama with LayerNorm, biases on q, k and v where asked for, and a rotated quarter of
// each head.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_stablelm(HfKeys& keys) {
  keys.only("qk_layernorm", false);
  keys.only("hidden_dropout", 0.0);
  keys.rename({{"layer_norm_eps", "rms_norm_eps"},
               {"use_qkv_bias", "attention_bias"},
               {"use_parallel_residual", "use_parallel_ffn"}});
  keys.read_partial_rope(0.25);
  keys.read_activation("hidden_act", true, "silu");
  keys.set("norm_type", "layer_norm");
  keys.set("attention_output_bias", false);
  keys.set_defaults({{"intermediate_size", 6912},
                     {"num_key_value_heads", 32},
                     {"max_position_embeddings", 4096},
                     {"rms_norm_eps", 1e-5},
                     {"bos_token_id", 0},
                     {"eos_token_id", 0}});
}

void write_stablelm(const ModelConfig& config, HfJson& json) {
  write_common_keys(json, config);
  write_rope(json, config, /*partial=*/true);
  json["num_key_value_heads"] = config.key_value_heads();
  json["layer_norm_eps"] = config.rms_norm_eps;
  json["use_qkv_bias"] = config.attention_bias;
  json["qk_layernorm"] = false;
  json["use_parallel_residual"] = config.use_parallel_ffn;
  json["hidden_dropout"] = 0.0;
}

}  // namespace

Family stablelm_family() {
  return {.model_type = "stablelm",
          .architecture = "StableLmForCausalLM",
          .title = "StableLM",
          .read = read_stablelm,
          .write = write_stablelm,
          .redundant = {"rotary_emb.inv_freq"}};
}

}  // namespace llm
