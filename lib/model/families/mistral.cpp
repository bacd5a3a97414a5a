// Mistral 7B and its successors of the same shape: Llama with a sliding window in every layer, or
// with none.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_mistral(HfKeys& keys) {
  keys.read_rope();
  keys.read_activation("hidden_act", true, "silu");
  keys.only("attention_bias", false);
  keys.only("mlp_bias", false);
  keys.set_defaults({{"intermediate_size", 14336},
                     {"num_key_value_heads", 8},
                     {"max_position_embeddings", 131072},
                     {"rms_norm_eps", 1e-6},
                     {"sliding_window", 4096},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2}});
}

void write_mistral(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  json["sliding_window"] = config.sliding_window ? HfJson(*config.sliding_window) : HfJson(nullptr);
}

}  // namespace

Family mistral_family() {
  return {.model_type = "mistral",
          .architecture = "MistralForCausalLM",
          .title = "Mistral",
          .read = read_mistral,
          .write = write_mistral,
          .redundant = {"rotary_emb.inv_freq"}};
}

}  // namespace llm
