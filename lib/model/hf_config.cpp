#include "model/hf_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

using HfJson = nlohmann::ordered_json;

// The families whose code computes exactly what ours does with these keys.
enum class HfFamily { llama, mistral, own };

HfFamily family_of(const ModelConfig& c) {
  const std::string& scaling = c.rope_scaling.rope_type;
  const bool shared = c.uses_rope() && scaling != "ntk" && c.norm_type == "rms_norm" &&
                      c.norm_first && c.gated_ffn() && !c.use_parallel_ffn &&
                      !c.sparse_attention.block_size;
  if (shared && c.sliding_window && !c.attention_bias && !c.mlp_bias) {
    return HfFamily::mistral;
  }
  return shared && !c.sliding_window ? HfFamily::llama : HfFamily::own;
}

HfJson scaling_json(const RopeScalingConfig& scaling) {
  if (scaling.rope_type == "none") {
    return nullptr;
  }
  HfJson json = {{"rope_type", scaling.rope_type}, {"factor", scaling.factor}};
  const auto add = [&](const char* key, const auto& value) {
    if (value) {
      json[key] = *value;
    }
  };
  add("original_max_position_embeddings", scaling.original_max_position_embeddings);
  add("low_freq_factor", scaling.low_freq_factor);
  add("high_freq_factor", scaling.high_freq_factor);
  add("beta_fast", scaling.beta_fast);
  add("beta_slow", scaling.beta_slow);
  add("attention_factor", scaling.attention_factor);
  return json;
}

HfJson id_json(int64_t id) { return id < 0 ? HfJson(nullptr) : HfJson(id); }

void add_common_keys(HfJson& json, const ModelConfig& c) {
  json["vocab_size"] = c.vocab_size;
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.ffn_size();
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["num_key_value_heads"] = c.key_value_heads();
  json["head_dim"] = c.head_size();
  json["hidden_act"] = c.ffn_type == "swiglu"  ? "silu"
                       : c.ffn_type == "geglu" ? "gelu"
                                               : c.ffn_type;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["rms_norm_eps"] = c.rms_norm_eps;
  json["rope_theta"] = c.rope_theta;
  json["rope_scaling"] = scaling_json(c.rope_scaling);
  json["attention_bias"] = c.attention_bias;
  json["mlp_bias"] = c.mlp_bias;
  json["attention_dropout"] = c.attention_dropout_probability();
  json["initializer_range"] = c.initializer_range;
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  json["pad_token_id"] = id_json(c.pad_token_id);
  json["bos_token_id"] = id_json(c.bos_token_id);
  json["eos_token_id"] = id_json(c.eos_token_id);
  json["use_cache"] = true;
}

// Keys that Hugging Face does not have are written where they say something, so that plain Llama
// shapes stay plain.
void add_own_keys(HfJson& json, const ModelConfig& c) {
  const ModelConfig plain;
  const auto add = [&](const char* key, const auto& value, const auto& usual) {
    if (value != usual) {
      json[key] = value;
    }
  };
  if (c.sliding_window) {
    json["sliding_window"] = *c.sliding_window;
  }
  add("position_embedding_type", c.position_embedding_type, plain.position_embedding_type);
  add("attention_type", c.attention_type, plain.attention_type);
  add("ffn_type", c.ffn_type, plain.ffn_type);
  add("use_parallel_ffn", c.use_parallel_ffn, plain.use_parallel_ffn);
  add("norm_type", c.norm_type, plain.norm_type);
  add("norm_first", c.norm_first, plain.norm_first);
  add("dropout", c.dropout, plain.dropout);
  add("use_gradient_checkpointing", c.use_gradient_checkpointing, plain.use_gradient_checkpointing);
  if (c.sparse_attention.block_size) {
    json["sparse_attention"] = {{"block_size", *c.sparse_attention.block_size},
                                {"local_blocks", c.sparse_attention.local_blocks.value_or(1)},
                                {"global_blocks", c.sparse_attention.global_blocks.value_or(1)}};
  }
}

// Spellings of other versions become ours; what is left is read strictly by ModelConfig::fields().
void normalise_rope(HfJson& json) {
  if (json.contains("rope_parameters") && json["rope_parameters"].is_object()) {
    HfJson parameters = json["rope_parameters"];
    if (parameters.contains("rope_theta")) {
      json["rope_theta"] = parameters["rope_theta"];
      parameters.erase("rope_theta");
    }
    json["rope_scaling"] = parameters;
  }
  json.erase("rope_parameters");
  HfJson& scaling = json["rope_scaling"];
  if (!scaling.is_object()) {
    json.erase("rope_scaling");
    return;
  }
  if (scaling.contains("rope_type")) {
    scaling.erase("type");
  }
  for (const char* key : {"rope_type", "type"}) {
    if (scaling.contains(key) && scaling[key] == "default") {
      json.erase("rope_scaling");
      return;
    }
  }
}

HfJson normalised(const nlohmann::json& object) {
  HfJson json = object;
  normalise_rope(json);
  for (const char* key : {"pad_token_id", "bos_token_id", "eos_token_id"}) {
    if (!json.contains(key) || json[key].is_null()) {
      json[key] = -1;
    } else if (json[key].is_array() && !json[key].empty()) {
      json[key] = HfJson(json[key][0]);  // the generation config holds them all
    }
  }
  if (!json.contains("ffn_type") && json.contains("hidden_act")) {
    const HfJson act = json["hidden_act"];
    json["ffn_type"] = act == "silu" || act == "swish" ? HfJson("swiglu")
                       : act == "gelu"                 ? HfJson("geglu")
                                                       : act;
  }
  for (auto item = json.begin(); item != json.end();) {
    if (item.value().is_null()) {
      item = json.erase(item);
    } else {
      ++item;
    }
  }
  return json;
}

// "config.json:3:7: unknown key" -> the part behind the position, which belongs to the normalised
// text and not to the file.
std::string without_position(const std::string& message, const std::string& source) {
  size_t at = source.size();
  if (message.compare(0, at, source) != 0 || at >= message.size() || message[at] != ':') {
    return message;
  }
  const size_t rest = message.find_first_not_of("0123456789:", at);
  return rest == std::string::npos ? message : message.substr(message.find_first_not_of(' ', rest));
}

std::string without_section(std::string text) {
  for (size_t at = text.find("model."); at != std::string::npos; at = text.find("model.", at)) {
    text.erase(at, 6);
  }
  return text;
}

}  // namespace

bool is_hf_config(const nlohmann::json& object) {
  return object.is_object() && (object.contains("architectures") || object.contains("model_type"));
}

ModelConfig model_config_from_hf(const nlohmann::json& object, const std::string& source_name) {
  check_input(object.is_object(), "{}: not a JSON object", source_name);
  if (object.contains("model_type")) {
    const nlohmann::json& type = object["model_type"];
    check_input(type == "llama" || type == "mistral" || type == "llm",
                "{}: model_type {} is not supported (llama, mistral and this program's own are)",
                source_name, dump_json(type));
  }
  for (const char* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"}) {
    check_input(object.contains(key), "{}: {} is missing", source_name, key);
  }
  ModelConfig config;
  config.intermediate_size.reset();
  Fields fields;
  fields.section("model", config);
  try {
    fields.apply_text(dump_json(nlohmann::json{{"model", normalised(object)}}),
                      source_name + ".json");
    fields.finish();
  } catch (const Error& error) {
    fail(Exit::bad_input,
         fmt::format("{}: {}", source_name,
                     without_section(without_position(error.message(), source_name + ".json"))),
         without_section(error.hint()));
  }
  config.hidden_act.reset();  // agreed with ffn_type, which stays
  return config;
}

ModelConfig load_hf_config(const std::filesystem::path& file) {
  return model_config_from_hf(parse_json_file(file), file.string());
}

std::string hf_config_text(const ModelConfig& config, const std::string& dtype) {
  const HfFamily family = family_of(config);
  HfJson json;
  json["architectures"] = {family == HfFamily::llama     ? "LlamaForCausalLM"
                           : family == HfFamily::mistral ? "MistralForCausalLM"
                                                         : "LlmForCausalLM"};
  json["model_type"] = family == HfFamily::llama     ? "llama"
                       : family == HfFamily::mistral ? "mistral"
                                                     : "llm";
  add_common_keys(json, config);
  add_own_keys(json, config);
  json["torch_dtype"] = dtype;
  json["dtype"] = dtype;
  return json.dump(2) + "\n";
}

}  // namespace llm
