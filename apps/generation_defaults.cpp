#include "apps/generation_defaults.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/run_remains.h"
#include "base/atomic_file.h"
#include "base/config.h"
#include "base/json_reader.h"
#include "base/log.h"
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

/// Somebody's own file: it leaves its name to the run's, under the next free one of its kind.
void keep_others_file(const std::filesystem::path& file) {
  if (is_in_a_model_of_the_run(file)) return;
  const std::filesystem::path kept = free_name(file, "old");
  rename_path(file, kept);
  log_warn(
      "'{}' is in no model of this run and is kept as {}: how its models write is said by the "
      "section generation of the config",
      file.string(), kept.filename().string());
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
  const std::string text = chosen == ids ? "" : chosen.dump(2) + "\n";
  if (std::filesystem::exists(file) && read_file(file) != text) keep_others_file(file);
  if (text.empty()) {
    remove_file(file);
    return std::nullopt;
  }
  write_file_atomically(file, text);
  return file;
}

}  // namespace llm
