// Reading: from metadata to config.json.
#include "model/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "model/gguf_rope.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostSize = int64_t{1} << 31;
constexpr int64_t kMostLayers = 10'000;

// What a file may say below the architecture's name; everything else is refused.
const std::set<std::string_view> kKnownKeys = {"vocab_size",
                                               "context_length",
                                               "embedding_length",
                                               "block_count",
                                               "feed_forward_length",
                                               "tensor_data_layout",
                                               "expert_count",
                                               "expert_used_count",
                                               "attn_logit_softcapping",
                                               "final_logit_softcapping",
                                               "attention.head_count",
                                               "attention.head_count_kv",
                                               "attention.key_length",
                                               "attention.value_length",
                                               "attention.layer_norm_rms_epsilon",
                                               "attention.causal",
                                               "attention.sliding_window",
                                               "attention.sliding_window_pattern",
                                               "rope.dimension_count",
                                               "rope.freq_base",
                                               "rope.freq_base_swa",
                                               "rope.scale_linear",
                                               "rope.scaling.type",
                                               "rope.scaling.factor",
                                               "rope.scaling.original_context_length",
                                               "rope.scaling.attn_factor",
                                               "rope.scaling.yarn_beta_fast",
                                               "rope.scaling.yarn_beta_slow",
                                               "rope.scaling.finetuned"};

class ConfigReader {
 public:
  ConfigReader(const GgufHead& head, const GgufArchitecture& architecture)
      : head_(head), file_(*head.keys), architecture_(architecture) {}

  Json json() {
    refuse_unknown_keys();
    read_sizes();
    read_rope();
    read_token_ids();
    const std::string_view type = architecture_.model_types.front();
    if (type == "llama") {
      json_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
      json_["mlp_bias"] = has_tensor("blk.0.ffn_gate.bias");
    } else if (type == "qwen2" || type == "qwen3") {
      json_["use_sliding_window"] = false;
      refuse_window();
    } else if (type == "phi3") {
      const int64_t window = integer("attention.sliding_window", 0, kMostSize, 0);
      json_["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
    } else if (type.starts_with("gemma")) {
      read_gemma(type);
    }
    if (type == "qwen3") {
      json_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
    }
    return json_;
  }

 private:
  std::string key(std::string_view name) const {
    return fmt::format("{}.{}", architecture_.name, name);
  }
  bool has(std::string_view name) const { return file_.has(key(name)); }
  int64_t integer(std::string_view name, int64_t low, int64_t high) const {
    return file_.integer(key(name), low, high);
  }
  int64_t integer(std::string_view name, int64_t low, int64_t high, int64_t absent) const {
    return file_.integer_or(key(name), low, high, absent);
  }
  double number(std::string_view name, double absent) const {
    return file_.number_or(key(name), absent);
  }
  bool has_tensor(std::string_view name) const { return head_.shapes.contains(name); }

  void refuse_unknown_keys() const {
    const std::string prefix = key("");
    for (const GgufEntry& entry : file_.entries()) {
      if (entry.key.starts_with(prefix) && !kKnownKeys.contains(entry.key.substr(prefix.size()))) {
        file_.refuse(fmt::format(
            "key '{}' is not supported; without it the model would compute something else",
            shown_name(entry.key)));
      }
    }
    if (integer("expert_count", 0, kMostSize, 0) > 0) {
      file_.refuse("mixtures of experts are not read from GGUF files");
    }
    if (!file_.flag_or(key("attention.causal"), true)) {
      file_.refuse("a model without causal attention is not supported");
    }
    if (number("rope.scale_linear", 1) != 1) {
      file_.refuse(fmt::format("key '{}' other than 1 is not supported", key("rope.scale_linear")));
    }
  }

  void read_sizes() {
    const auto embedding = head_.shapes.find("token_embd.weight");
    if (embedding == head_.shapes.end() || embedding->second.size() != 2) {
      file_.refuse("tensor 'token_embd.weight' is missing or no matrix");
    }
    hidden_ = integer("embedding_length", 1, kMostSize);
    heads_ = integer("attention.head_count", 1, kMostSize);
    layers_ = integer("block_count", 1, kMostLayers);
    head_dim_ = integer("attention.key_length", 1, kMostSize, hidden_ / heads_);
    const int64_t value_dim = integer("attention.value_length", 1, kMostSize, hidden_ / heads_);
    if (head_dim_ != value_dim) {
      file_.refuse(fmt::format("heads of {} key and {} value columns are not supported", head_dim_,
                               value_dim));
    }
    json_["vocab_size"] = embedding->second[0];
    json_["hidden_size"] = hidden_;
    json_["intermediate_size"] = integer("feed_forward_length", 1, kMostSize);
    json_["num_hidden_layers"] = layers_;
    json_["num_attention_heads"] = heads_;
    json_["num_key_value_heads"] = integer("attention.head_count_kv", 1, kMostSize, heads_);
    json_["head_dim"] = head_dim_;
    json_["rms_norm_eps"] = file_.number(key("attention.layer_norm_rms_epsilon"));
    json_["max_position_embeddings"] = context_ = integer("context_length", 1, kMostSize);
    json_["tie_word_embeddings"] = !has_tensor("output.weight");
  }

  const std::vector<float>* factors(std::string_view tensor) const {
    const auto found = head_.factors.find(tensor);
    return found == head_.factors.end() ? nullptr : &found->second;
  }

  void read_rope() {
    theta_ = number("rope.freq_base", 10000.0);
    json_["rope_theta"] = theta_;
    const int64_t rotated = integer("rope.dimension_count", 1, kMostSize, head_dim_);
    if (rotated != head_dim_) {
      json_["partial_rotary_factor"] =
          static_cast<double>(rotated) / static_cast<double>(head_dim_);
    }
    const std::string type(file_.text_or(key("rope.scaling.type"), "none"));
    Json scaling;
    if (const std::vector<float>* divisors = factors(kGgufRopeFactors)) {
      if (type != "none") {
        file_.refuse(fmt::format("{} beside rope.scaling.type '{}' is not supported",
                                 kGgufRopeFactors, type));
      }
      scaling = divided(*divisors);
    } else if (factors(kGgufLongRopeFactors) != nullptr) {
      scaling = longrope();
    } else if (type == "linear") {
      scaling = {{"rope_type", "linear"}, {"factor", number("rope.scaling.factor", 1)}};
    } else if (type == "yarn") {
      scaling = yarn();
    } else if (type != "none") {
      file_.refuse(fmt::format("rope.scaling.type '{}' is not supported", shown_name(type)));
    }
    json_["rope_scaling"] = scaling;
  }

  Json divided(const std::vector<float>& divisors) const {
    if (const auto scaling = llama3_of_divisors(divisors, theta_)) {
      return {{"rope_type", "llama3"},
              {"factor", scaling->factor},
              {"low_freq_factor", *scaling->low_freq_factor},
              {"high_freq_factor", *scaling->high_freq_factor},
              {"original_max_position_embeddings", *scaling->original_max_position_embeddings}};
    }
    return {{"rope_type", "longrope"}, {"short_factor", divisors},
            {"long_factor", divisors}, {"factor", 1.0},
            {"attention_factor", 1.0}, {"original_max_position_embeddings", context_}};
  }

  Json longrope() {
    const std::vector<float>* shorter = factors(kGgufShortRopeFactors);
    if (shorter == nullptr) {
      file_.refuse(fmt::format("tensor '{}' is missing", kGgufShortRopeFactors));
    }
    const int64_t original =
        integer("rope.scaling.original_context_length", 1, kMostSize, context_);
    json_["original_max_position_embeddings"] = original;
    Json scaling = {{"rope_type", "longrope"},
                    {"short_factor", *shorter},
                    {"long_factor", *factors(kGgufLongRopeFactors)}};
    const double stretch = static_cast<double>(context_) / static_cast<double>(original);
    const double usual =
        stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)))
                    : 1;
    const double stored = number("rope.scaling.attn_factor", 1);
    if (std::fabs(stored - usual) > 1e-6 * usual) {
      scaling["attention_factor"] = stored;
    }
    return scaling;
  }

  Json yarn() const {
    const double factor = number("rope.scaling.factor", 1);
    Json scaling = {{"rope_type", "yarn"},
                    {"factor", factor},
                    {"original_max_position_embeddings",
                     integer("rope.scaling.original_context_length", 1, kMostSize, context_)}};
    for (const char* name : {"beta_fast", "beta_slow"}) {
      if (has(std::string("rope.scaling.yarn_") + name)) {
        scaling[name] = number(std::string("rope.scaling.yarn_") + name, 0);
      }
    }
    const double extra = number("rope.scaling.attn_factor", 1);  // on top of yarn's own
    if (extra != 1) {
      scaling["attention_factor"] = extra * (0.1 * std::log(factor) + 1);
    }
    return scaling;
  }

  void read_token_ids() {
    const int64_t rows = json_["vocab_size"].get<int64_t>();
    const auto id = [&](const char* name) { return file_.integer_or(name, 0, rows - 1, -1); };
    const auto json_id = [&](const char* name) {
      return id(name) < 0 ? Json(nullptr) : Json(id(name));
    };
    json_["bos_token_id"] = json_id("tokenizer.ggml.bos_token_id");
    json_["pad_token_id"] = json_id("tokenizer.ggml.padding_token_id");
    Json ends = Json::array();
    for (const char* name : kGgufEndKeys) {
      if (id(name) >= 0 && std::find(ends.begin(), ends.end(), id(name)) == ends.end()) {
        ends.push_back(id(name));
      }
    }
    json_["eos_token_id"] = ends.empty() ? Json(nullptr) : ends.size() == 1 ? ends[0] : ends;
  }

  void refuse_window() const {
    if (integer("attention.sliding_window", 0, kMostSize, 0) > 0) {
      file_.refuse(fmt::format("key '{}' is not supported for this architecture",
                               key("attention.sliding_window")));
    }
  }

  void read_gemma(std::string_view type) {
    json_["hidden_activation"] = "gelu_pytorch_tanh";
    if (type == "gemma") {
      return refuse_window();
    }
    const bool newer = type == "gemma3_text";
    // The largest models are told by their number of layers alone.
    const bool largest = layers_ == (newer ? 62 : 46);
    json_["query_pre_attn_scalar"] = largest ? hidden_ / heads_ : head_dim_;
    const auto cap = [&](const char* name, double absent) {
      const double value = number(name, absent);
      json_[name] = value > 0 ? Json(value) : Json(nullptr);
    };
    if (!newer) {
      cap("attn_logit_softcapping", 50);
    }
    cap("final_logit_softcapping", newer ? 0 : 30);
    const int64_t window = integer("attention.sliding_window", 0, kMostSize, newer ? 0 : 4096);
    json_["sliding_window"] = window > 0 ? Json(window) : Json(nullptr);
    json_["layer_types"] = layer_types(newer ? 6 : 2);
    if (newer) {
      json_["rope_local_base_freq"] = number("rope.freq_base_swa", 10000.0);
    } else if (has("rope.freq_base_swa") && number("rope.freq_base_swa", 0) != theta_) {
      file_.refuse(fmt::format("key '{}' is not supported for this architecture",
                               key("rope.freq_base_swa")));
    }
  }

  // Every n-th layer sees everything; the key holds n, or one flag per layer.
  Json layer_types(int64_t every) const {
    const std::string name = key("attention.sliding_window_pattern");
    const GgufValue* pattern = file_.find(name);
    const bool listed = pattern != nullptr && pattern->type == GgufType::array;
    if (listed && (pattern->element != GgufType::boolean ||
                   pattern->count != static_cast<uint64_t>(layers_))) {
      file_.refuse(fmt::format("key '{}' must be one boolean per layer", name));
    }
    if (pattern != nullptr && !listed) {
      every = file_.integer(name, 1, kMostLayers);
    }
    Json types = Json::array();
    for (int64_t i = 0; i < layers_; ++i) {
      const bool sliding =
          listed ? pattern->bytes[static_cast<size_t>(i)] != std::byte{0} : (i + 1) % every != 0;
      types.push_back(sliding ? "sliding_attention" : "full_attention");
    }
    return types;
  }

  const GgufHead& head_;
  const Gguf& file_;
  const GgufArchitecture& architecture_;
  Json json_;
  int64_t hidden_ = 0, heads_ = 0, layers_ = 0, head_dim_ = 0, context_ = 0;
  double theta_ = 0;
};

}  // namespace

GgufHead gguf_head(const Gguf& file) {
  GgufHead head{.keys = &file};
  for (const GgufTensor& tensor : file.tensors()) {
    head.shapes.emplace(tensor.name, tensor.shape);
    if (is_gguf_rope_tensor(tensor.name)) {
      constexpr int64_t kMostPairs = 65536;
      if (tensor.shape.size() != 1 || tensor.shape[0] > kMostPairs || !tensor.format->readable) {
        file.refuse(fmt::format("tensor '{}' must be a list of numbers", tensor.name));
      }
      std::vector<float>& values = head.factors[std::string(tensor.name)];
      values.resize(static_cast<size_t>(tensor.shape[0]));
      dequantize(*tensor.format, tensor.bytes, values);
    }
  }
  return head;
}

const GgufArchitecture& gguf_architecture(const Gguf& file) {
  if (const int64_t parts = file.integer_or("split.count", 0, INT64_MAX, 1); parts > 1) {
    fail(Exit::bad_input,
         fmt::format("{}: is one of {} parts of a split model", file.name(), parts),
         "join them: llama-gguf-split --merge FIRST_PART OUTPUT");
  }
  const std::string_view name = file.text("general.architecture");
  const GgufArchitecture* architecture = find_gguf_architecture(name);
  if (architecture == nullptr) {
    file.refuse(fmt::format("GGUF architecture '{}' is not supported; supported are {}",
                            shown_name(name), gguf_architecture_names()));
  }
  return *architecture;
}

Json hf_config_of_gguf(const GgufHead& head) {
  const GgufArchitecture& architecture = gguf_architecture(*head.keys);
  Json json = {{"model_type", architecture.model_types.front()}};
  json.update(ConfigReader(head, architecture).json());
  return json;
}

}  // namespace llm
