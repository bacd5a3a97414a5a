#include "apps/generation_defaults.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/config.h"
#include "model/hf_config.h"

namespace llm {
namespace {

nlohmann::ordered_json keys_of(GenerationConfig config) {
  Fields fields;
  fields.section("generation", config);
  return nlohmann::ordered_json::parse(fields.to_json_section("generation"));
}

}  // namespace

std::optional<std::filesystem::path> write_generation_defaults(const RunConfig& config,
                                                               const std::filesystem::path& run) {
  const std::filesystem::path file = run / "generation_config.json";
  const nlohmann::ordered_json usual = keys_of({}), given = keys_of(config.generation);
  nlohmann::ordered_json chosen = generation_ids(config.model);
  const size_t ids = chosen.size();
  for (const auto& [key, value] : given.items()) {
    if (value != usual.value(key, nlohmann::ordered_json())) chosen[key] = value;
  }
  if (chosen.size() == ids) {
    std::filesystem::remove(file);
    return std::nullopt;
  }
  write_file_atomically(file, chosen.dump(2) + "\n");
  return file;
}

}  // namespace llm
