// This program's own shapes, in our key names: what no other family can say.
#include "base/config.h"
#include "base/json_reader.h"
#include "model/families/all.h"
#include "model/families/hf_keys.h"

namespace llm {
namespace {

void read_own(HfKeys& keys) {
  keys.read_rope();
  if (keys.has("position_embedding_type") && keys.at("position_embedding_type") != "rope") {
    keys.forget({"rope_theta"});
  }
  if (!keys.has("ffn_type") && keys.has("hidden_act")) {
    keys.read_activation("hidden_act", true, "silu");
  }
}

// Every key that says another thing than a config of defaults does.
void write_own(const ModelConfig& config, HfJson& json) {
  ModelConfig shown = config, plain;
  plain.intermediate_size.reset();
  plain.pad_token_id = plain.bos_token_id = plain.eos_token_id = -1;
  shown.model_type.reset();
  Fields ours, usual;
  ours.section("model", shown);
  usual.section("model", plain);
  const HfJson values = HfJson::parse(ours.to_json_section("model"));
  write_common_keys(json, config);
  json.erase("hidden_act");
  json["num_key_value_heads"] = config.key_value_heads();
  json["head_dim"] = config.head_size();
  json["rms_norm_eps"] = config.rms_norm_eps;
  for (size_t i = 0; i < ours.rows().size(); ++i) {
    const std::string path = ours.rows()[i].path().substr(std::string("model.").size());
    const std::string section = path.substr(0, path.find('.'));
    if (ours.rows()[i].text() != usual.rows()[i].text() && values.contains(section) &&
        !values[section].is_null() && section != "eos_token_id") {
      if (section == path) {
        json[path] = values[path];
      } else {
        const std::string key = path.substr(section.size() + 1);
        json[section][key] = values[section][key];
      }
    }
  }
}

}  // namespace

Family own_family() {
  return {.model_type = "llm",
          .architecture = "LlmForCausalLM",
          .title = "own shapes",
          .read = read_own,
          .write = write_own};
}

}  // namespace llm
