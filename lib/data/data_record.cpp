#include "data/data_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/sha256.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

constexpr const char* kLmsysFile = "data/lmsys_chat_1m.jsonl";

nlohmann::json records_of_files(const std::vector<std::string>& inputs) {
  nlohmann::json files = nlohmann::json::array();
  for (const std::string& input : inputs) {
    std::error_code failed;
    auto size = std::filesystem::file_size(input, failed);
    auto changed = std::filesystem::last_write_time(input, failed).time_since_epoch().count();
    files.push_back({std::filesystem::absolute(input, failed).string(), failed ? 0 : size,
                     failed ? 0 : changed});
  }
  return files;
}

/// How texts are read, which text it is included.
nlohmann::json reading_record(const DataConfig& config, const std::vector<std::string>& inputs) {
  const TextConfig& text = config.text;
  return {{"files", records_of_files(inputs)},
          {"format", text.format},
          {"split", text.split},
          {"field", text.field},
          {"skip_bad", text.skip_bad},
          {"allow_invalid_utf8", text.allow_invalid_utf8},
          {"stories", inputs.empty() ? config.synthetic_stories : 0},
          {"story_seed", inputs.empty() ? config.synthetic_seed : 0}};
}

}  // namespace

DataConfig resolved_data(DataConfig config) {
  if (!config.use_lmsys_dataset) {
    return config;
  }
  config.path = config.path.empty() ? std::vector<std::string>{kLmsysFile} : config.path;
  config.text.format = "lmsys";
  if (!std::filesystem::exists(config.path[0])) {
    fail(Exit::bad_input, fmt::format("--use-lmsys-dataset: '{}' is not there", config.path[0]),
         "nothing is downloaded: save LMSYS-Chat-1M as JSON Lines (its license must be accepted "
         "first) and give it as --data-path FILE");
  }
  return config;
}

nlohmann::json data_record(const DataConfig& config, const std::vector<std::string>& inputs,
                           const Tokenizer& tokenizer, uint64_t seed, const ChatFormat& chat) {
  const TextConfig& text = config.text;
  nlohmann::json record = reading_record(config, inputs);
  record.update({{"add_bos", text.add_bos},
                 {"val_split", text.val_split},
                 {"val_fraction", text.val_fraction},
                 {"chat_template",
                  chat.chat_template ? sha256_hex(chat.chat_template->source()) : std::string()},
                 {"train_on_prompt", chat.train_on_prompt},
                 {"seed", seed},
                 {"tokenizer", tokenizer.sha256()},
                 {"layout", 2}});
  return record;
}

bool holds_record(const std::filesystem::path& file, const nlohmann::json& record) {
  if (!std::filesystem::exists(file)) {
    return false;
  }
  try {
    return parse_json_file(file) == record;
  } catch (const Error&) {
    return false;
  }
}

std::optional<nlohmann::json> training_text_record(const DataConfig& given) {
  const DataConfig config = resolved_data(given);
  const bool reads_once =
      std::find(config.path.begin(), config.path.end(), "-") != config.path.end();
  if (reads_once) return std::nullopt;
  return reading_record(config, config.path);
}

}  // namespace llm
