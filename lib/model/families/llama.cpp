// Llama 1 to 3.3, and what was trained in its shape.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_llama(HfKeys& keys) {
  keys.only("sliding_window", nullptr);  // Llama's code would not look at it
  keys.read_rope();
  keys.read_activation("hidden_act", true, "silu");
  keys.set_defaults({{"intermediate_size", 11008},
                     {"max_position_embeddings", 2048},
                     {"rms_norm_eps", 1e-6},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2}});
}

void write_llama(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  json["attention_bias"] = config.attention_bias;
  json["mlp_bias"] = config.mlp_bias;
}

}  // namespace

Family llama_family() {
  return {.model_type = "llama",
          .architecture = "LlamaForCausalLM",
          .title = "Llama 1-3.3",
          .read = read_llama,
          .write = write_llama,
          .redundant = {"rotary_emb.inv_freq"}};
}

}  // namespace llm
