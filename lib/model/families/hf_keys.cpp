#include "model/families/hf_keys.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

// What config.json files say that no computation depends on.
constexpr const char* kHarmless[] = {"architectures",
                                     "transformers_version",
                                     "torch_dtype",
                                     "dtype",
                                     "_name_or_path",
                                     "use_cache",
                                     "pretraining_tp",
                                     "auto_map",
                                     "_attn_implementation",
                                     "return_dict",
                                     "output_attentions",
                                     "output_hidden_states",
                                     "is_encoder_decoder",
                                     "id2label",
                                     "label2id",
                                     "problem_type",
                                     "classifier_dropout",
                                     "unsloth_version",
                                     "unsloth_fixed",
                                     "unsloth_fixed_tokenizer",
                                     "gradient_checkpointing",
                                     "task_specific_params",
                                     "_commit_hash",
                                     "model_name",
                                     "attn_implementation",
                                     "_attn_implementation_autoset",
                                     "chunk_size_feed_forward",
                                     "use_bfloat16",
                                     "torchscript",
                                     "cache_implementation",
                                     "max_length",
                                     "min_length",
                                     "do_sample",
                                     "temperature",
                                     "top_k",
                                     "top_p",
                                     "num_beams",
                                     "repetition_penalty",
                                     "tokenizer_class",
                                     "prefix",
                                     "pard_token"};  // speculation reads it (make_parallel_drafter)

}  // namespace

HfKeys::HfKeys(nlohmann::json object, std::string source, std::string family)
    : object_(std::move(object)), source_(std::move(source)), family_(std::move(family)) {
  for (auto item = object_.begin(); item != object_.end();) {
    if (item.value().is_null()) {
      nulls_.insert(item.key());
      item = object_.erase(item);
    } else {
      ++item;
    }
  }
  for (const char* key : kHarmless) {
    object_.erase(key);
  }
  // Weights come with their scales applied (weight_source.h): these methods store plain tensors.
  if (has("quantization_config")) {
    const nlohmann::json method = at("quantization_config").is_object()
                                      ? at("quantization_config").value("quant_method", HfJson())
                                      : HfJson();
    const bool known = method == "fp8" || method == "bitsandbytes" || method == "mxfp4" ||
                       method == "compressed-tensors";
    check_input(known, "{}: quantization_config: quant_method {} is not supported", source_,
                dump_json(method));
    object_.erase("quantization_config");
  }
}

const nlohmann::json& HfKeys::finish() {
  for (const char* key : {"pad_token_id", "bos_token_id", "eos_token_id"}) {
    if (!has(key)) {
      object_[key] = -1;
    }
  }
  const nlohmann::json eos = object_["eos_token_id"];
  if (eos.is_array()) {
    object_["eos_token_id"] = eos.empty() ? nlohmann::json(-1) : eos[0];
    if (eos.size() > 1) {
      object_["further_eos_token_ids"] = std::vector<nlohmann::json>(eos.begin() + 1, eos.end());
    }
  }
  return object_;
}

void HfKeys::set_defaults(std::initializer_list<std::pair<const char*, nlohmann::json>> defaults) {
  for (const auto& [key, value] : defaults) {
    set_default(key, value);
  }
}

void HfKeys::rename(std::initializer_list<std::pair<const char*, const char*>> keys) {
  for (const auto& [theirs, ours] : keys) {
    rename(theirs, ours);
  }
}

void HfKeys::read_router() {
  const bool counted = take_flag("output_router_logits", false);
  if (!counted) {
    forget({"router_aux_loss_coef"});
  }
}

void HfKeys::require(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    check_input(has(key), "{}: {} is missing", source_, key);
  }
}

void HfKeys::refuse(const std::string& problem) const {
  fail(Exit::bad_input, fmt::format("{}: {} ({} models)", source_, problem, family_));
}

void HfKeys::rename(const char* theirs, const char* ours) {
  if (has(theirs)) {
    set_default(ours, object_[theirs]);
    object_.erase(theirs);
  }
  if (nulls_.contains(theirs)) {
    nulls_.insert(ours);
  }
}

void HfKeys::forget(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    object_.erase(key);
  }
}

void HfKeys::only(const char* key, const nlohmann::json& value) {
  if (has(key) && object_[key] != value) {
    refuse(fmt::format("{} {} is not supported, only {}", key, dump_json(object_[key]),
                       dump_json(value)));
  }
  object_.erase(key);
}

nlohmann::json HfKeys::take(const char* key) {
  nlohmann::json value = has(key) ? object_[key] : nlohmann::json();
  object_.erase(key);
  return value;
}

bool HfKeys::take_flag(const char* key, bool fallback) {
  const nlohmann::json value = take(key);
  if (!value.is_null() && !value.is_boolean()) {
    refuse(fmt::format("{} must be true or false", key));
  }
  return value.is_null() ? fallback : value.get<bool>();
}

int64_t HfKeys::take_integer(const char* key, int64_t fallback) {
  const int64_t value = has(key) ? integer(key) : fallback;
  object_.erase(key);
  return value;
}

double HfKeys::take_number(const char* key, double fallback) {
  const nlohmann::json value = take(key);
  if (!value.is_null() && !value.is_number()) {
    refuse(fmt::format("{} must be a number", key));
  }
  return value.is_null() ? fallback : value.get<double>();
}

std::string HfKeys::take_text(const char* key, const std::string& fallback) {
  const nlohmann::json value = take(key);
  if (!value.is_null() && !value.is_string()) {
    refuse(fmt::format("{} must be a text", key));
  }
  return value.is_null() ? fallback : value.get<std::string>();
}

int64_t HfKeys::integer(const char* key) const {
  require({key});
  return JsonView(object_, source_).get_int(key, 0, int64_t{1} << 40);
}

void HfKeys::set_rotary_share(double share) {
  if (share == 1.0) {
    return;
  }
  const int64_t head_dim =
      has("head_dim")
          ? integer("head_dim")
          : integer("hidden_size") / std::max<int64_t>(integer("num_attention_heads"), 1);
  set("rotary_dim", static_cast<int64_t>(static_cast<double>(head_dim) * share + 1e-6));
}

void HfKeys::read_partial_rope(double default_share, const char* name) {
  double share = take_number(name, default_share);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (has(key) && object_[key].is_object() && object_[key].contains("partial_rotary_factor")) {
      nlohmann::json& rope = object_[key];
      share = JsonView(rope, source_).get_double("partial_rotary_factor", 0, 1);
      rope.erase("partial_rotary_factor");
    }
  }
  read_rope();
  set_rotary_share(share);
}

void HfKeys::read_rope(double default_theta) {
  nlohmann::json newer = take("rope_parameters"), older = take("rope_scaling");
  nlohmann::json rope = older.is_object() ? older : newer;
  for (const nlohmann::json* spelling : {&older, &newer}) {
    if (spelling->is_object() && spelling->contains("rope_theta")) {
      set("rope_theta", (*spelling)["rope_theta"]);
    }
  }
  set_default("rope_theta", default_theta);
  if (!rope.is_object()) {
    return;
  }
  for (auto item = rope.begin(); item != rope.end();) {
    item = item.value().is_null() ? rope.erase(item) : std::next(item);
  }
  rope.erase("rope_theta");
  if (rope.value("partial_rotary_factor", nlohmann::json(1.0)) == 1.0) {
    rope.erase("partial_rotary_factor");
  }
  if (rope.contains("rope_type")) {
    rope.erase("type");
  } else if (rope.contains("type")) {
    rope["rope_type"] = rope["type"];
    rope.erase("type");
  }
  const nlohmann::json type = rope.value("rope_type", nlohmann::json("default"));
  if (type == "default") {
    return;
  }
  if (type == "su") {
    rope["rope_type"] = "longrope";
  }
  if (rope.value("truncate", nlohmann::json(true)) == true) {
    rope.erase("truncate");
  }
  if (rope["rope_type"] == "longrope" && rope.contains("factor") && rope["factor"] == 1.0) {
    rope["attention_factor"] = rope.value("attention_factor", nlohmann::json(1.0));
  }
  set("rope_scaling", rope);
}

void HfKeys::read_activation(const char* key, bool gated, const char* fallback) {
  const std::string act = take_text(key, fallback);
  const bool cubic = act == "gelu_new" || act == "gelu_pytorch_tanh" || act == "gelu_fast";
  std::string type;
  if (gated) {
    type = act == "silu" || act == "swish" ? "swiglu" : act == "gelu" ? "geglu" : "";
    type = cubic ? "geglu_tanh" : type;
  } else {
    type = act == "relu" || act == "gelu" ? act : act == "silu" || act == "swish" ? "silu" : "";
    type = cubic ? "gelu_tanh" : type;
  }
  if (type.empty()) {
    refuse(fmt::format("{} '{}' is not supported", key, act));
  }
  set("ffn_type", type);
}

void HfKeys::read_layer_types(bool (*sliding)(int64_t layer, int64_t pattern), int64_t pattern) {
  const nlohmann::json window = take("sliding_window");
  nlohmann::json types = take("layer_types");
  if (types.is_null()) {
    types = nlohmann::json::array();
    const int64_t layers = integer("num_hidden_layers");
    for (int64_t i = 0; i < std::min<int64_t>(layers, 10'000); ++i) {
      types.push_back(sliding(i, pattern) ? "sliding_attention" : "full_attention");
    }
  }
  if (!types.is_array()) {
    refuse("layer_types must be a list");
  }
  int64_t windows = 0;
  for (const nlohmann::json& type : types) {
    windows += type == "sliding_attention";
    if (type != "sliding_attention" && type != "full_attention") {
      refuse(fmt::format("layer_types: {} is not supported", dump_json(type)));
    }
  }
  if (windows == 0 || window.is_null()) {
    return;  // every layer sees everything
  }
  set("sliding_window", window);
  if (windows < static_cast<int64_t>(types.size())) {
    set("layer_types", types);
  }
}

void HfKeys::read_dropout(const char* residual, const char* embedding) {
  const double dropout = take_number(residual, 0.0);
  const double embeddings = take_number(embedding, dropout);
  if (embeddings != dropout) {
    refuse(fmt::format("{} {} beside {} {} is not supported: they must be equal", embedding,
                       embeddings, residual, dropout));
  }
  set_default("dropout", dropout);
}

}  // namespace llm
