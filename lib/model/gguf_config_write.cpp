// From a ModelConfig to metadata, and the check that nothing is lost.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/families/families.h"
#include "model/gguf_config.h"
#include "model/gguf_rope.h"
#include "model/hf_config.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;

class KeyWriter {
 public:
  KeyWriter(GgufMetadata& metadata, const GgufArchitecture& architecture, const ModelConfig& config)
      : metadata_(metadata), architecture_(architecture), c_(config) {}

  void write() {
    integer("vocab_size", c_.vocab_size);
    integer("context_length", c_.max_position_embeddings);
    integer("embedding_length", c_.hidden_size);
    integer("block_count", c_.num_hidden_layers);
    integer("feed_forward_length", c_.ffn_size());
    integer("attention.head_count", c_.num_attention_heads);
    integer("attention.head_count_kv", c_.key_value_heads());
    integer("attention.key_length", c_.head_size());
    integer("attention.value_length", c_.head_size());
    number("attention.layer_norm_rms_epsilon", c_.rms_norm_eps);
    integer("rope.dimension_count", c_.rotary_size());
    number("rope.freq_base", c_.rope_theta);
    write_rope_scaling();
    const std::string_view name = architecture_.name;
    if (name == "phi3") {
      // 0 tells llama.cpp that there is none; without the key it assumes the first model's.
      integer("attention.sliding_window", c_.sliding_window.value_or(0));
    } else if (name == "gemma2" || name == "gemma3") {
      write_gemma(name == "gemma3");
    }
  }

 private:
  std::string key(std::string_view name) const {
    return fmt::format("{}.{}", architecture_.name, name);
  }
  void integer(std::string_view name, int64_t value) {
    metadata_.uint32(key(name), static_cast<uint32_t>(value));
  }
  void number(std::string_view name, double value) {
    metadata_.float32(key(name), static_cast<float>(value));
  }

  void write_rope_scaling() {
    const RopeScalingConfig& scaling = c_.rope_scaling;
    const int64_t original =
        scaling.original_max_position_embeddings.value_or(c_.max_position_embeddings);
    if (scaling.rope_type == "linear" || scaling.rope_type == "yarn") {
      metadata_.text(key("rope.scaling.type"), scaling.rope_type);
      number("rope.scaling.factor", scaling.factor);
    }
    if (scaling.rope_type == "yarn") {
      integer("rope.scaling.original_context_length", original);
      const double usual = 0.1 * std::log(scaling.factor) + 1;
      if (scaling.attention_factor && *scaling.attention_factor != usual) {
        number("rope.scaling.attn_factor", *scaling.attention_factor / usual);
      }
      if (scaling.beta_fast) number("rope.scaling.yarn_beta_fast", *scaling.beta_fast);
      if (scaling.beta_slow) number("rope.scaling.yarn_beta_slow", *scaling.beta_slow);
    }
    if (std::string_view(architecture_.name) == "phi3") {
      write_longrope(original);
    }
  }

  void write_longrope(int64_t original) {
    integer("rope.scaling.original_context_length", original);
    if (c_.rope_scaling.rope_type != "longrope") {
      return;
    }
    const double stretch =
        static_cast<double>(c_.max_position_embeddings) / static_cast<double>(original);
    const double usual =
        stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)))
                    : 1;
    metadata_.text(key("rope.scaling.type"), "longrope");
    number("rope.scaling.attn_factor", c_.rope_scaling.attention_factor.value_or(usual));
  }

  void write_gemma(bool newer) {
    if (!newer) {
      number("attn_logit_softcapping", c_.attn_logit_softcapping.value_or(0));
    }
    if (!newer || c_.final_logit_softcapping) {
      number("final_logit_softcapping", c_.final_logit_softcapping.value_or(0));
    }
    if (!c_.sliding_window) {
      return;
    }
    integer("attention.sliding_window", *c_.sliding_window);
    std::vector<bool> sliding;
    bool usual = true;
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i) {
      sliding.push_back(c_.layer_window(i).has_value());
      usual = usual && sliding.back() == ((i + 1) % (newer ? 6 : 2) != 0);
    }
    if (!usual) {
      metadata_.booleans(key("attention.sliding_window_pattern"), sliding);
    }
    if (newer) {
      number("rope.freq_base_swa", c_.rope_local_base_freq.value_or(c_.rope_theta));
    }
  }

  GgufMetadata& metadata_;
  const GgufArchitecture& architecture_;
  const ModelConfig& c_;
};

std::vector<float> as_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// Numbers went through float32.
bool equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    return std::fabs(a.get<double>() - b.get<double>()) <= 1e-6 * std::fabs(a.get<double>());
  }
  if (a.is_structured() && a.type() == b.type() && a.size() == b.size()) {
    for (const auto& [key, value] : a.items()) {
      if (a.is_object() && !b.contains(key)) {
        return false;
      }
      if (!equal(value, a.is_object() ? b[key] : b[static_cast<size_t>(std::stoul(key))])) {
        return false;
      }
    }
    return true;
  }
  return a == b;
}

// What a file for inference need not say.
bool is_training_key(const std::string& key) {
  static const std::set<std::string> keys = {
      "attention_dropout", "initializer_range",    "use_cache",   "dropout",
      "attention_type",    "router_aux_loss_coef", "resid_pdrop", "embd_pdrop",
      "pad_token_id",      "bos_token_id",         "eos_token_id"};
  return keys.contains(key) || key == "use_gradient_checkpointing";
}

}  // namespace

ModelConfig model_config_of_gguf(const GgufHead& head) {
  return model_config_from_hf(hf_config_of_gguf(head), head.keys->name());
}

void add_gguf_model_keys(GgufMetadata& metadata, const GgufArchitecture& architecture,
                         const ModelConfig& config) {
  KeyWriter(metadata, architecture, config).write();
}

std::map<std::string, std::vector<float>, std::less<>> gguf_rope_factors(
    const GgufArchitecture& architecture, const ModelConfig& config) {
  const RopeScalingConfig& scaling = config.rope_scaling;
  if (scaling.rope_type == "llama3") {
    RopeScalingConfig said = scaling;
    said.original_max_position_embeddings =
        scaling.original_max_position_embeddings.value_or(config.max_position_embeddings);
    return {{kGgufRopeFactors, llama3_divisors(said, config.rope_theta, config.head_size())}};
  }
  if (scaling.rope_type != "longrope") {
    return {};
  }
  if (std::string_view(architecture.name) == "phi3") {
    return {{kGgufLongRopeFactors, as_floats(scaling.long_factor)},
            {kGgufShortRopeFactors, as_floats(scaling.short_factor)}};
  }
  return {{kGgufRopeFactors, as_floats(scaling.long_factor)}};
}

void check_gguf_says(const ModelConfig& config, const GgufMetadata& metadata, GgufHead head,
                     const std::string& path) {
  const std::string bytes = gguf_head_bytes(metadata);
  const Gguf keys(std::as_bytes(std::span(bytes.data(), bytes.size())), path);
  head.keys = &keys;
  ModelConfig said = model_config_of_gguf(head);
  said.model_type = config.model_type;
  const Family& family = family_of(config);
  const auto wanted = hf_config_json(config, family), read = hf_config_json(said, family);
  const char* architecture = gguf_architecture(keys).name;
  check_input(wanted && read, "{}: GGUF ({}) cannot say this {} model", path, architecture,
              family.model_type);
  for (const auto& [key, value] : wanted->items()) {
    check_input(is_training_key(key) || (read->contains(key) && equal(value, (*read)[key])),
                "{}: GGUF ({}) cannot say {} {}", path, architecture, key, value.dump());
  }
}

}  // namespace llm
