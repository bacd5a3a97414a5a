#include "apps/tokenizer_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/sha256.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path record_in(const fs::path& run) { return run / "data" / "trained_tokenizer.json"; }

struct TrainedTokenizer {
  json made_from;
  std::vector<std::pair<std::string, std::string>> files;  // name in RUN, SHA-256
};

/// None where there is no record or a damaged one: the tokenizer is trained again then.
std::optional<TrainedTokenizer> read_record(const fs::path& run) {
  if (!fs::exists(record_in(run))) return std::nullopt;
  try {
    const json record = parse_json_file(record_in(run));
    TrainedTokenizer trained{record.at("made_from"), {}};
    for (const json& file : record.at("files")) {
      const std::string name = file.at(0).get<std::string>();
      if (fs::path(name).filename() != name) return std::nullopt;
      trained.files.emplace_back(name, file.at(1).get<std::string>());
    }
    return trained;
  } catch (const Error&) {
    return std::nullopt;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

bool is_unchanged(const fs::path& run, const std::pair<std::string, std::string>& file) {
  return fs::is_regular_file(run / file.first) && sha256_file(run / file.first) == file.second;
}

}  // namespace

bool fewer_pieces_allowed(const RunConfig& config, const Fields& fields) {
  return tells_stories(config) || !pieces_asked(config, fields).binding();
}

std::string tokenizer_made_from(const RunConfig& config, const Fields& fields) {
  const std::optional<json> text = training_text_record(config.data);
  if (!text) return "";
  return dump_json(json{{"text", *text},
                        {"settings", tokenizer_settings(config, fields)},
                        {"fewer_allowed", fewer_pieces_allowed(config, fields)}});
}

std::optional<fs::path> tokenizer_trained_before(const fs::path& run,
                                                 const std::string& made_from) {
  const std::optional<TrainedTokenizer> trained = read_record(run);
  if (!trained || trained->files.empty() || dump_json(trained->made_from) != made_from) {
    return std::nullopt;
  }
  const bool whole = std::all_of(trained->files.begin(), trained->files.end(),
                                 [&](const auto& file) { return is_unchanged(run, file); });
  return whole ? std::optional(run / trained->files[0].first) : std::nullopt;
}

void forget_trained_tokenizer(const fs::path& run, const std::vector<fs::path>& files) {
  const std::optional<TrainedTokenizer> trained = read_record(run);
  if (!trained) return;
  remove_file(record_in(run));
  for (const auto& file : trained->files) {
    const bool stays = std::find(files.begin(), files.end(), run / file.first) != files.end();
    if (!stays && is_unchanged(run, file)) remove_file(run / file.first);
  }
}

void record_trained_tokenizer(const fs::path& run, const std::string& made_from,
                              const std::vector<fs::path>& files) {
  if (made_from.empty()) return;
  json hashes = json::array();
  for (const fs::path& file : files) {
    hashes.push_back({file.filename().string(), sha256_file(file)});
  }
  make_directories(record_in(run).parent_path());
  const json record{{"made_from", parse_json(made_from, "the tokenizer's record")},
                    {"files", hashes}};
  write_file_atomically(record_in(run), dump_json(record, 1) + "\n");
}

}  // namespace llm
