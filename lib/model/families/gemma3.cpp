// Gemma 3, text: Gemma 2 with queries and keys normalised in place of the caps, and rotary
// wavelengths of their own in the windowed layers (five of six).
#include "model/families/all.h"
#include "model/families/gemma.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

// Newer files name the two kinds of layers: {"full_attention": {...}, "sliding_attention": {...}}.
void read_two_ropes(HfKeys& keys) {
  nlohmann::json both = keys.take("rope_parameters");
  if (both.is_object() && both.contains("full_attention")) {
    const nlohmann::json& local = both.value("sliding_attention", nlohmann::json::object());
    if (local.is_object()) {
      if (local.value("rope_type", nlohmann::json("default")) != "default") {
        keys.refuse("rope_parameters.sliding_attention: only rope_type default is supported");
      }
      if (local.contains("rope_theta")) {
        keys.set("rope_local_base_freq", local["rope_theta"]);
      }
    }
    both = both["full_attention"];
  }
  if (both.is_object()) {
    keys.set("rope_parameters", both);
  }
  keys.read_rope(1e6);
  keys.set_default("rope_local_base_freq", 10000.0);
}

void read_gemma3(HfKeys& keys) {
  read_gemma_keys(keys);
  read_two_ropes(keys);
  keys.only("attn_logit_softcapping", nullptr);
  keys.set("sublayer_output_norm", true);
  keys.set("qk_norm", "head");
  keys.set_defaults({{"intermediate_size", 9216},
                     {"num_key_value_heads", 4},
                     {"query_pre_attn_scalar", 256},
                     {"sliding_window", 4096}});
  const int64_t period =
      keys.take_integer("sliding_window_pattern", keys.take_integer("_sliding_window_pattern", 6));
  keys.read_layer_types(
      [](int64_t layer, int64_t every) { return every == 0 || (layer + 1) % every != 0; }, period);
  if (!keys.has("sliding_window")) {
    keys.forget({"rope_local_base_freq"});
  }
}

void write_gemma3(const ModelConfig& config, HfJson& json) {
  write_gemma2_keys(config, json);
  const double local = config.rope_local_base_freq.value_or(config.rope_theta);
  json["rope_local_base_freq"] = local;
  json["rope_parameters"] = {
      {"full_attention", json["rope_parameters"]},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", local}}}};
}

}  // namespace

Family gemma3_family() {
  return {.model_type = "gemma3_text",
          .architecture = "Gemma3ForCausalLM",
          .title = "Gemma 3 (text)",
          .read = read_gemma3,
          .write = write_gemma3};
}

}  // namespace llm
