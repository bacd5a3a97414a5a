// OLMo 2: Llama with norms behind each half in place of before it, and queries and keys normalised
// over all heads, https://arxiv.org/abs/2501.00656.
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_olmo2(HfKeys& keys) {
  keys.read_rope();
  keys.read_activation("hidden_act", true, "silu");
  keys.set("norm_first", false);
  keys.set("sublayer_output_norm", true);
  keys.set("qk_norm", "full");
  keys.set_defaults({{"intermediate_size", 11008},
                     {"max_position_embeddings", 2048},
                     {"rms_norm_eps", 1e-5},
                     {"pad_token_id", 1},
                     {"eos_token_id", 50279}});
}

void write_olmo2(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  json["attention_bias"] = config.attention_bias;
}

}  // namespace

Family olmo2_family() {
  return {.model_type = "olmo2",
          .architecture = "Olmo2ForCausalLM",
          .title = "OLMo 2",
          .read = read_olmo2,
          .write = write_olmo2};
}

}  // namespace llm
