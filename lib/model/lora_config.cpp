#include "model/lora_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

constexpr int64_t kMostRank = 1 << 16;

/// PEFT reads the keys of its patterns as regular expressions at the end of a module's path. What
/// it writes itself are plain names; dots stand for themselves there.
std::string plain_pattern(const JsonView& patterns, const std::string& key) {
  std::string name;
  for (size_t i = key.starts_with('^') ? 1 : 0; i < key.size(); ++i) {
    const bool escaped_dot = key[i] == '\\' && i + 1 < key.size() && key[i + 1] == '.';
    if (escaped_dot) ++i;
    const char letter = key[i];
    const bool plain = std::isalnum(static_cast<unsigned char>(letter)) || letter == '_' ||
                       letter == '.' || letter == '-';
    if (!plain)
      patterns.fail(
          fmt::format("has the key '{}': only module names are read, no regular "
                      "expressions",
                      key));
    name += letter;
  }
  return name;
}

std::vector<std::pair<std::string, double>> read_patterns(const JsonView& config, const char* key,
                                                          double lo, double hi) {
  std::vector<std::pair<std::string, double>> patterns;
  const auto found = config.find(key);
  if (!found) return patterns;
  found->expect_object();
  for (const std::string& name : found->keys())
    patterns.emplace_back(plain_pattern(*found, name), found->get_double(name, lo, hi));
  return patterns;
}

std::vector<std::string> read_targets(const JsonView& config) {
  const auto found = config.find("target_modules");
  if (!found || found->value().is_string()) return {};  // a regular expression: the tensors tell
  found->expect_array();
  std::vector<std::string> targets;
  for (size_t i = 0; i < found->size(); ++i) targets.push_back(found->element(i).as_string());
  return targets;
}

bool is_set(const JsonView& config, const char* key) {
  const auto found = config.find(key);
  if (!found) return false;
  const nlohmann::json& value = found->value();
  return value.is_boolean() ? value.get<bool>() : !value.empty();
}

void refuse_unknown_kinds(const JsonView& config) {
  const std::string type = config.get_string("peft_type", "LORA");
  if (type != "LORA")
    config.at("peft_type").fail(fmt::format("is {}: only LORA adapters are read", type));
  const std::string bias = config.get_string("bias", "none");
  if (bias != "none")
    config.at("bias").fail(fmt::format("is '{}': trained biases are not computed", bias));
  for (const char* key :
       {"use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters",
        "use_qalora", "use_bdlora", "layer_replication", "kasa_config", "monteclora_config",
        "arrow_config", "alora_invocation_tokens"}) {
    if (is_set(config, key)) config.at(key).fail("is set, and is not computed here");
  }
  // These start from a base whose weights were changed with the adapter.
  const auto start = config.find("init_lora_weights");
  if (!start || !start->value().is_string()) return;
  const std::string kind = start->as_string();
  for (const char* changes : {"pissa", "olora", "corda", "loftq"}) {
    if (kind.starts_with(changes))
      start->fail(fmt::format("is '{}', which changes the base model's weights", kind));
  }
}

std::optional<double> value_of(const std::vector<std::pair<std::string, double>>& patterns,
                               const std::string& module) {
  for (const auto& [name, value] : patterns) {
    if (ends_module_path(module, name)) return value;
  }
  return std::nullopt;
}

}  // namespace

bool ends_module_path(const std::string& path, const std::string& end) {
  if (!path.ends_with(end)) return false;
  return path.size() == end.size() || path[path.size() - end.size() - 1] == '.';
}

double LoraConfig::alpha_of(const std::string& module) const {
  return value_of(alpha_pattern, module).value_or(alpha);
}

int64_t LoraConfig::rank_of(const std::string& module) const {
  return static_cast<int64_t>(value_of(rank_pattern, module).value_or(static_cast<double>(rank)));
}

float LoraConfig::scale_of(const std::string& module) const {
  const auto r = static_cast<double>(rank_of(module));
  return static_cast<float>(alpha_of(module) / (rank_stabilised ? std::sqrt(r) : r));
}

LoraConfig read_lora_config(const std::filesystem::path& file) {
  const nlohmann::json json = parse_json_file(file);
  const JsonView config(json, file.string());
  config.expect_object();
  refuse_unknown_kinds(config);
  LoraConfig read;
  read.rank = config.get_int("r", 1, kMostRank, 8);
  read.alpha = config.get_double("lora_alpha", -1e6, 1e6, 8);
  read.rank_stabilised = config.get_bool("use_rslora", false);
  read.base_model = config.get_string("base_model_name_or_path", "");
  read.targets = read_targets(config);
  read.alpha_pattern = read_patterns(config, "alpha_pattern", -1e6, 1e6);
  read.rank_pattern = read_patterns(config, "rank_pattern", 1, kMostRank);
  return read;
}

}  // namespace llm
