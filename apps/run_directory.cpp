#include "apps/run_directory.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"

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

/// What a run leaves in its directory, prepared data aside.
std::vector<fs::path> traces_of_a_run(const fs::path& run) {
  std::vector<fs::path> traces;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(run, absent)) {
    const std::string name = entry.path().filename().string();
    const bool is_fixed = name == "final" || name == "best" || name == "latest" ||
                          name == "run.json" || name == "config.yaml" ||
                          name == "skipped_steps.jsonl";
    if (is_fixed || is_checkpoint(entry) || name.starts_with("metrics.") ||
        name.starts_with("events.out.tfevents.")) {
      traces.push_back(entry.path());
    }
  }
  return traces;
}

/// Files that only a run writes.
bool looks_like_a_run(const fs::path& run) {
  for (const char* name : {"run.json", "config.yaml", "metrics.jsonl", "run.lock", "training.log",
                           "tokenizer.model", "tokenizer.json"}) {
    if (fs::exists(run / name)) {
      return true;
    }
  }
  return !checkpoint_steps(run).empty();
}

}  // namespace

RunDirectory::RunDirectory(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  made_here_ = !fs::exists(path_, error);
  if (fs::is_directory(path_, error) && !fs::is_empty(path_, error) && !looks_like_a_run(path_)) {
    fail(Exit::usage, fmt::format("'{}' exists and is not a training run", path_.string()),
         "choose another --output-dir");
  }
  make_directories(path_);
}

RunDirectory::~RunDirectory() {
  if (made_here_) {
    detach_log_file();
    discard(path_);
  }
}

std::optional<ResumeChoice> choose_start(const CheckpointConfig& config) {
  const fs::path run = config.output_dir;
  const std::vector<fs::path> traces = traces_of_a_run(run);
  const bool has_checkpoint = !checkpoint_steps(run).empty();
  if (config.resume_from_checkpoint == "never" && !traces.empty()) {
    if (has_checkpoint && !config.force) {
      fail(Exit::usage,
           fmt::format("'{}' holds a run already ({})", run.string(),
                       checkpoint_name(checkpoint_steps(run).back())),
           "--resume-from-checkpoint auto goes on with it, --force removes it, another "
           "--output-dir leaves it alone");
    }
    for (const fs::path& trace : traces) {
      remove_tree(trace);
    }
    return std::nullopt;
  }
  return choose_checkpoint(run, config.resume_from_checkpoint);
}

}  // namespace llm
