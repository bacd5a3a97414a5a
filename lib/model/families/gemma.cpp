// Gemma: norms that multiply by 1 + weight, embeddings times the root of hidden_size, GELU's cubic
// form in the gate.
#include "model/families/gemma.h"

#include <cmath>

#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {

void read_gemma_keys(HfKeys& keys) {
  std::string activation = keys.take_text("hidden_act", "gelu_pytorch_tanh");
  activation = keys.take_text("hidden_activation", activation);
  // The first release wrote gelu and meant the cubic form.
  keys.set("hidden_act", activation == "gelu" ? "gelu_pytorch_tanh" : activation);
  keys.read_activation("hidden_act", true, "gelu_pytorch_tanh");
  keys.set("norm_unit_offset", true);
  keys.set("embedding_multiplier", std::sqrt(static_cast<double>(keys.integer("hidden_size"))));
  keys.set_defaults({{"head_dim", 256},
                     {"rms_norm_eps", 1e-6},
                     {"max_position_embeddings", 8192},
                     {"tie_word_embeddings", true},
                     {"pad_token_id", 0},
                     {"eos_token_id", 1},
                     {"bos_token_id", 2}});
}

void write_gemma_keys(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  json["attention_bias"] = config.attention_bias;
  json["hidden_activation"] = activation_name(config);
}

namespace {

void read_gemma(HfKeys& keys) {
  read_gemma_keys(keys);
  keys.read_rope();
  keys.set_defaults({{"intermediate_size", 24576}, {"num_key_value_heads", 16}});
}

}  // namespace

Family gemma_family() {
  return {.model_type = "gemma",
          .architecture = "GemmaForCausalLM",
          .title = "Gemma",
          .read = read_gemma,
          .write = write_gemma_keys};
}

}  // namespace llm
