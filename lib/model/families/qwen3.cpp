// Qwen3: Qwen2 without its biases, with queries and keys normalised head by head.
#include "model/families/all.h"
#include "model/families/hf_keys.h"
#include "model/families/qwen.h"

namespace llm {
namespace {

void read_qwen3(HfKeys& keys) {
  read_qwen_keys(keys);
  keys.set("qk_norm", "head");
  keys.set_defaults({{"head_dim", 128}, {"intermediate_size", 22016}});
}

void write_qwen3(const ModelConfig& config, HfJson& json) {
  write_qwen_keys(config, json);
  json["attention_bias"] = config.attention_bias;
}

}  // namespace

Family qwen3_family() {
  return {.model_type = "qwen3",
          .architecture = "Qwen3ForCausalLM",
          .title = "Qwen3",
          .read = read_qwen3,
          .write = write_qwen3};
}

}  // namespace llm
