#include "apps/run_remains.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_io.h"
#include "base/path_queries.h"
#include "model/manifest.h"
#include "model/run_layout.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// Of a run, complete or not: a user's own folder may have such a name too.
bool is_checkpoint(const fs::directory_entry& entry) {
  fs::path name = entry.path().filename();
  const std::string ending = name.extension().string();
  if (ending == ".damaged" || ending.starts_with(".abandoned")) {
    name.replace_extension();
  }
  return step_of_checkpoint(name) && entry.is_directory() &&
         (fs::exists(entry.path() / kManifestName) || fs::exists(entry.path() / "training_state"));
}

/// Whether the text begins as the pattern says, in which 0 stands for any digit.
bool begins_like(std::string_view text, std::string_view pattern) {
  return text.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), text.begin(), [](char wanted, char c) {
           return wanted == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : wanted == c;
         });
}

/// The first bytes of a file, "" where there is none. Exit 4 where it cannot be read.
std::string start_of(const fs::path& file) {
  if (!fs::is_regular_file(file)) return "";
  std::string start(4096, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (!stream.is_open() || stream.bad()) fail_errno(fmt::format("cannot read '{}'", file.string()));
  start.resize(static_cast<size_t>(stream.gcount()));
  return start;
}

/// Whether the first line is one of base/log.h.
bool is_log_of_a_run(const fs::path& file) {
  const std::string start = start_of(file);
  const std::string_view text = start;
  constexpr std::string_view kTime = "0000-00-00T00:00:00.000Z";
  if (begins_like(text, "{\"time\":\"0000-00-00T00:00:00.000Z\",\"level\":\"")) return true;
  if (!begins_like(text, kTime)) return false;
  const std::string_view rest = text.substr(kTime.size());
  return rest.starts_with(" INFO ") || rest.starts_with(" WARNING ") ||
         rest.starts_with(" ERROR ") || rest.starts_with(" DEBUG ");
}

/// base/file_lock.h: pid, host and time of who held it, or nothing yet.
bool is_lock_of_a_run(const fs::path& file) {
  const std::string text = start_of(file);
  if (text.empty()) return fs::is_regular_file(file);
  std::istringstream words(text);
  int64_t pid = 0;
  std::string host, time, more;
  return words >> pid >> host >> time && !(words >> more);
}

/// Others write files of these names, too: by what stands in them they are a run's.
bool holds_a_record_of_a_run(const fs::path& folder) {
  return is_lock_of_a_run(folder / "run.lock") ||
         start_of(folder / "run.json").find("\"config_sha256\"") != std::string::npos ||
         begins_like(start_of(folder / "metrics.jsonl"), "{\"step\":0") ||
         is_log_of_a_run(folder / "training.log");
}

}  // namespace

bool holds_a_run(const fs::path& folder) {
  if (holds_a_record_of_a_run(folder)) return true;
  const auto entries = entries_of(folder);
  return std::any_of(entries.begin(), entries.end(), is_checkpoint);
}

fs::path model_file_of(const fs::path& folder) {
  if (fs::exists(folder / "config.json")) return "config.json";
  for (const fs::directory_entry& entry : entries_of(folder)) {
    if (entry.path().extension() == ".safetensors") return entry.path().filename();
  }
  return {};
}

bool holds_only_a_start(const fs::path& run) {
  constexpr std::array<std::string_view, 12> kOurs{"run.lock",
                                                   "training.log",
                                                   "config.yaml",
                                                   "tokenizer.model",
                                                   "tokenizer.json",
                                                   "tokenizer_config.json",
                                                   "special_tokens_map.json",
                                                   "generation_config.json",
                                                   "chat_template.jinja",
                                                   "data",
                                                   "data/prepared.json",
                                                   "data/trained_tokenizer.json"};
  const auto is_ours = [&](const fs::path& name) {
    const std::string text = name.generic_string();
    const bool temporary = text.find(".tmp-") != std::string::npos;
    const bool tokens = text.starts_with("data/train.") || text.starts_with("data/val.") ||
                        text == "data/chat_template.jinja";
    return temporary || tokens || std::find(kOurs.begin(), kOurs.end(), text) != kOurs.end();
  };
  const auto entries = entries_below(run);
  return std::all_of(entries.begin(), entries.end(), [&](const fs::directory_entry& entry) {
    return is_ours(entry.path().lexically_relative(run));
  });
}

std::vector<fs::path> remains_of_run(const fs::path& run) {
  constexpr std::array<std::string_view, 4> kRecords{"run.json", "metrics.jsonl", "metrics.csv",
                                                     "skipped_steps.jsonl"};
  std::vector<fs::path> remains;
  for (const fs::directory_entry& entry : entries_of(run)) {
    const std::string name = entry.path().filename().string();
    const bool record = entry.is_regular_file() &&
                        (std::find(kRecords.begin(), kRecords.end(), name) != kRecords.end() ||
                         name.starts_with("events.out.tfevents.") ||
                         (name == "generation_config.json" && is_in_a_model_of_the_run(entry)));
    const bool link = (name == "best" || name == "latest") && entry.is_symlink();
    const bool final_model = name == "final" && !model_file_of(entry.path()).empty();
    const bool model = final_model || is_checkpoint(entry);
    if (record || link || model) remains.push_back(entry.path());
  }
  std::sort(remains.begin(), remains.end());
  return remains;
}

bool has_final_model(const fs::path& run) {
  const fs::path model = run / "final";
  return fs::exists(model / "config.json") && fs::exists(model / "model.safetensors");
}

fs::path others_file_in(const fs::path& model) {
  constexpr std::array<std::string_view, 13> kOurs{"config.json",
                                                   "generation_config.json",
                                                   "model.safetensors",
                                                   "model.safetensors.index.json",
                                                   "tokenizer.model",
                                                   "tokenizer.json",
                                                   "tokenizer_config.json",
                                                   "special_tokens_map.json",
                                                   "chat_template.jinja",
                                                   kManifestName,
                                                   "training_state",
                                                   "training_state/state.json",
                                                   "training_state/optimizer.safetensors"};
  for (const fs::directory_entry& entry : entries_below(model)) {
    const fs::path name = fs::relative(entry.path(), model);
    if (std::find(kOurs.begin(), kOurs.end(), name.generic_string()) == kOurs.end()) return name;
  }
  return {};
}

bool is_in_a_model_of_the_run(const fs::path& file) {
  const std::string bytes = read_file(file);
  for (const fs::directory_entry& entry : entries_of(file.parent_path())) {
    const bool model = entry.path().filename() == "final" || is_checkpoint(entry);
    const fs::path copy = entry.path() / file.filename();
    if (model && fs::is_regular_file(copy) && read_file(copy) == bytes) return true;
  }
  return false;
}

}  // namespace llm
