// Qwen2 and Qwen2.5: Llama with biases on q, k and v; where a window is used, only the layers from
// max_window_layers on have it.
#include "model/families/all.h"
#include "model/families/hf_keys.h"
#include "model/families/qwen.h"

namespace llm {

void read_qwen_keys(HfKeys& keys) {
  keys.only("use_mrope", false);
  keys.read_rope();
  keys.read_activation("hidden_act", true, "silu");
  if (!keys.take_flag("use_sliding_window", false)) {
    keys.forget({"sliding_window", "layer_types"});
  } else {
    keys.set_default("sliding_window", 4096);
  }
  keys.read_layer_types([](int64_t layer, int64_t first) { return layer >= first; },
                        keys.take_integer("max_window_layers", 28));
  keys.set_defaults(
      {{"num_key_value_heads", 32}, {"max_position_embeddings", 32768}, {"rms_norm_eps", 1e-6}});
}

void write_qwen_keys(const ModelConfig& config, HfJson& json) {
  write_llama_keys(json, config);
  write_layer_types(json, config);
  json["use_sliding_window"] = config.sliding_window.has_value();
  int64_t first = 0;  // older versions know the pattern by this number alone
  while (first < config.num_hidden_layers && !config.layer_window(first)) {
    ++first;
  }
  json["max_window_layers"] = first;
}

namespace {

void read_qwen2(HfKeys& keys) {
  read_qwen_keys(keys);
  keys.only("attention_bias", true);
  keys.set("attention_bias", true);
  keys.set("attention_output_bias", false);
  keys.set_default("intermediate_size", 22016);
}

}  // namespace

Family qwen2_family() {
  return {.model_type = "qwen2",
          .architecture = "Qwen2ForCausalLM",
          .title = "Qwen2, Qwen2.5",
          .read = read_qwen2,
          .write = write_qwen_keys,
          .redundant = {"rotary_emb.inv_freq"}};
}

}  // namespace llm
