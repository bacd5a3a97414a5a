// Gemma 2: Gemma with norms before and behind each half, soft caps on scores and logits, and a
// window in every other layer.
#include "model/families/all.h"
#include "model/families/gemma.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_gemma2(HfKeys& keys) {
  read_gemma_keys(keys);
  keys.read_rope();
  keys.set("sublayer_output_norm", true);
  keys.set_defaults({{"intermediate_size", 9216},
                     {"num_key_value_heads", 4},
                     {"query_pre_attn_scalar", 256},
                     {"attn_logit_softcapping", 50.0},
                     {"final_logit_softcapping", 30.0},
                     {"sliding_window", 4096}});
  keys.read_layer_types([](int64_t layer, int64_t) { return layer % 2 == 0; }, 0);
}

}  // namespace

void write_gemma2_keys(const ModelConfig& config, HfJson& json) {
  write_gemma_keys(config, json);
  write_layer_types(json, config);
  // A whole number in the files of this family.
  const double scalar =
      config.query_pre_attn_scalar.value_or(static_cast<double>(config.head_size()));
  json["query_pre_attn_scalar"] = scalar == static_cast<double>(static_cast<int64_t>(scalar))
                                      ? HfJson(static_cast<int64_t>(scalar))
                                      : HfJson(scalar);
  const auto cap = [](const std::optional<double>& value) {
    return value ? HfJson(*value) : HfJson(nullptr);
  };
  json["attn_logit_softcapping"] = cap(config.attn_logit_softcapping);
  json["final_logit_softcapping"] = cap(config.final_logit_softcapping);
}

Family gemma2_family() {
  return {.model_type = "gemma2",
          .architecture = "Gemma2ForCausalLM",
          .title = "Gemma 2",
          .read = read_gemma2,
          .write = write_gemma2_keys};
}

}  // namespace llm
