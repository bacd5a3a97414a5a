#include "model/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json_reader.h"
#include "model/families/families.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

// "config.json:3:7: unknown key" -> the part behind the position, which belongs to the translated
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

std::string text_of(const nlohmann::json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

const Family& named_family(const nlohmann::json& object, const std::string& source) {
  const std::string type = text_of(object, "model_type");
  std::string architecture;
  if (object.contains("architectures") && object["architectures"].is_array() &&
      !object["architectures"].empty() && object["architectures"][0].is_string()) {
    architecture = object["architectures"][0].get<std::string>();
  }
  if (type.empty() && architecture.empty()) {
    return *find_family("llm");
  }
  if (const Family* family = find_family(type)) {
    return *family;
  }
  for (const Family& family : families()) {
    if (type.empty() && architecture == family.architecture) {
      return family;
    }
  }
  const std::string name = architecture.empty() ? type
                           : type.empty()       ? architecture
                                          : fmt::format("{} (model_type {})", architecture, type);
  fail(Exit::bad_input,
       fmt::format("{}: unsupported architecture {}; supported model types are {}", source, name,
                   family_names()),
       type == "gemma3" ? "its text part alone is model_type gemma3_text" : "");
}

// The model section that the family makes of the file.
nlohmann::json own_keys(const Family& family, const nlohmann::json& object,
                        const std::string& source) {
  HfKeys keys(object, source, family.model_type);
  keys.forget({"model_type"});
  if (family.model_type != std::string_view("llm")) keys.only("use_bidirectional_attention", false);
  family.read(keys);
  keys.require({"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"});
  return keys.finish();
}

ModelConfig config_of_keys(const nlohmann::json& keys, const std::string& source) {
  ModelConfig config;
  config.intermediate_size.reset();
  Fields fields;
  fields.section("model", config);
  try {
    fields.apply_text(dump_json(nlohmann::json{{"model", keys}}), source + ".json");
    fields.finish();
  } catch (const Error& error) {
    fail(Exit::bad_input,
         fmt::format("{}: {}", source,
                     without_section(without_position(error.message(), source + ".json"))),
         without_section(error.hint()));
  }
  config.hidden_act.reset();  // agreed with ffn_type, which stays
  return config;
}

ModelConfig read_config(const Family& family, const nlohmann::json& object,
                        const std::string& source) {
  return config_of_keys(own_keys(family, object, source), source);
}

// config.model_type, where the shape alone does not tell it.
void keep_family(const Family& family, ModelConfig& config) {
  if (std::string_view(family_of(config).model_type) != family.model_type) {
    config.model_type = family.model_type;
  }
}

// Training reads these and inference does not: a family may leave them out.
const std::set<std::string> kBesides = {
    "model.attention_type",    "model.dropout",           "model.use_gradient_checkpointing",
    "model.attention_dropout", "model.initializer_range", "model.router_aux_loss_coef"};

// Adds to json what reading it did not give back; false where that is more than training's keys.
bool complete(HfJson& json, const ModelConfig& wanted, const ModelConfig& said) {
  ModelConfig ours = resolved(wanted), theirs = resolved(said);
  ours.model_type.reset();
  theirs.model_type.reset();
  Fields before, after;
  before.section("model", ours);
  after.section("model", theirs);
  const HfJson values = HfJson::parse(before.to_json_section("model"));
  for (size_t i = 0; i < before.rows().size(); ++i) {
    const Field& row = before.rows()[i];
    if (row.text() == after.rows()[i].text()) {
      continue;
    }
    const std::string key = row.path().substr(std::string("model.").size());
    if (!kBesides.contains(row.path()) || !values.contains(key)) {
      return false;
    }
    json[key] = values[key];
  }
  return true;
}

}  // namespace

std::optional<HfJson> hf_config_json(const ModelConfig& config, const Family& family) {
  HfJson json;
  json["architectures"] = {family.architecture};
  json["model_type"] = family.model_type;
  family.write(config, json);
  try {
    const nlohmann::json object = json;
    if (!complete(json, config, read_config(family, object, "config.json"))) {
      return std::nullopt;
    }
  } catch (const Error&) {
    return std::nullopt;  // the family refuses such a shape
  }
  return json;
}

ModelConfig model_config_from_hf(const nlohmann::json& object, const std::string& source_name) {
  check_input(object.is_object(), "{}: not a JSON object", source_name);
  const Family& family = named_family(object, source_name);
  ModelConfig config = read_config(family, object, source_name);
  keep_family(family, config);
  return config;
}

HfRunConfig run_config_from_hf(const nlohmann::json& object, const std::string& source_name) {
  const Family& family = named_family(object, source_name);
  nlohmann::json keys = own_keys(family, object, source_name);
  ModelConfig config = config_of_keys(keys, source_name);
  keep_family(family, config);
  keys.emplace("intermediate_size", nullptr);  // a run config's own default is a number
  if (config.model_type) {
    keys["model_type"] = *config.model_type;
  }
  HfRunConfig run;
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    keys.erase(id);
    if (object.contains(id) && !object[id].is_null()) {
      run.token_ids +=
          fmt::format("{}{} {}", run.token_ids.empty() ? "" : ", ", id, object[id].dump());
    }
  }
  keys.erase("further_eos_token_ids");
  run.text = dump_json(nlohmann::json{{"model", keys}});
  return run;
}

ModelConfig load_hf_config(const std::filesystem::path& file) {
  return model_config_from_hf(parse_json_file(file), file.string());
}

nlohmann::ordered_json generation_ids(const ModelConfig& config) {
  nlohmann::ordered_json ids = nlohmann::ordered_json::object();
  const std::pair<const char*, int64_t> known[] = {{"bos_token_id", config.bos_token_id},
                                                   {"eos_token_id", config.eos_token_id},
                                                   {"pad_token_id", config.pad_token_id}};
  for (const auto& [key, id] : known) {
    if (id >= 0) ids[key] = id;
  }
  return ids;
}

std::string hf_config_text(const ModelConfig& config, const std::string& dtype) {
  std::optional<HfJson> json = hf_config_json(config, family_of(config));
  check(json.has_value(), "model: this config cannot be written as config.json");
  (*json)["torch_dtype"] = dtype;
  (*json)["dtype"] = dtype;
  return json->dump(2) + "\n";
}

}  // namespace llm
