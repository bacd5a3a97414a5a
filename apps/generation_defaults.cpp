#include "apps/generation_defaults.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/config.h"
#include "base/json_reader.h"
#include "model/hf_config.h"
#include "model/model_path.h"

namespace llm {
namespace {

nlohmann::ordered_json keys_of(GenerationConfig config) {
  Fields fields;
  fields.section("generation", config);
  return nlohmann::ordered_json::parse(fields.to_json_section("generation"));
}

/// generation_config.json of the model that the run starts from, as far as it is one.
nlohmann::ordered_json starting_model_keys(const RunConfig& config) {
  const std::string& base = config.checkpoint.model_path;
  const std::filesystem::path file =
      base.empty() ? "" : resolve_model_path(base) / "generation_config.json";
  if (base.empty() || !std::filesystem::is_regular_file(file)) return {};
  const nlohmann::json keys = parse_json_file(file);
  return keys.is_object() ? nlohmann::ordered_json(keys) : nlohmann::ordered_json();
}

void add_end(nlohmann::ordered_json& keys, int32_t id) {
  nlohmann::ordered_json& ends = keys["eos_token_id"];
  if (!ends.is_array()) {
    ends = ends.is_null() ? nlohmann::ordered_json::array() : nlohmann::ordered_json::array({ends});
  }
  if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  if (ends.size() == 1) ends = nlohmann::ordered_json(ends[0]);
}

}  // namespace

std::optional<std::filesystem::path> write_generation_defaults(const RunConfig& config,
                                                               std::optional<int32_t> turn_end,
                                                               const std::filesystem::path& run) {
  const std::filesystem::path file = run / "generation_config.json";
  const nlohmann::ordered_json usual = keys_of({}), given = keys_of(config.generation),
                               ids = generation_ids(config.model);
  nlohmann::ordered_json chosen = starting_model_keys(config);
  if (chosen.is_null()) chosen = ids;
  if (turn_end) add_end(chosen, *turn_end);
  for (const auto& [key, value] : given.items()) {
    const bool reports =
        key.starts_with("return_") || key == "top_logprobs";  // no matter of a model's
    if (!reports && value != usual.value(key, nlohmann::ordered_json())) chosen[key] = value;
  }
  if (chosen == ids) {
    std::filesystem::remove(file);
    return std::nullopt;
  }
  write_file_atomically(file, chosen.dump(2) + "\n");
  return file;
}

}  // namespace llm
