#include "apps/run_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "apps/run_remains.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// A folder that is neither new nor empty must be a run's: what lies there otherwise would be
/// overwritten.
void refuse_others_folder(const fs::path& folder) {
  if (!fs::is_directory(folder) || fs::is_empty(folder)) return;
  const fs::path model_file = model_file_of(folder);
  if (model_file.empty() && holds_a_run(folder)) return;
  const bool has_config = fs::exists(folder / "config.yaml");
  const std::string why = !model_file.empty()
                              ? fmt::format(" but a model ('{}')", model_file.string())
                          : has_config ? ": a run would overwrite its config.yaml"
                                       : "";
  fail(Exit::usage, fmt::format("'{}' exists and is not a training run{}", folder.string(), why),
       "choose another --output-dir");
}

/// That nobody's own files lie where the run writes, or in what it would remove.
void refuse_others_files(const fs::path& run, const std::vector<fs::path>& doomed) {
  std::vector<fs::path> models{run / "final"};
  std::copy_if(doomed.begin(), doomed.end(), std::back_inserter(models), [](const fs::path& path) {
    return !fs::is_symlink(path) && fs::is_directory(path);
  });
  std::string found;
  for (const fs::path& model : models) {
    const fs::path file = fs::is_directory(model) ? others_file_in(model) : fs::path();
    if (found.empty() && !file.empty()) found = (model.filename() / file).string();
  }
  if (fs::exists(run / "final") && !fs::is_directory(run / "final")) found = "final";
  for (const char* link : {"best", "latest"}) {
    if (fs::exists(run / link) && !fs::is_symlink(run / link)) found = link;
  }
  if (found.empty()) return;
  fail(Exit::usage,
       fmt::format("'{}' holds '{}', which no run wrote and this one would remove", run.string(),
                   found),
       "move it elsewhere, or choose another --output-dir");
}

/// What of an earlier run is worth most.
std::string foremost(const fs::path& run, const std::vector<fs::path>& remains) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  if (!steps.empty()) return checkpoint_name(steps.back());
  return has_final_model(run) ? "final" : remains.front().filename().string();
}

void start_over(const fs::path& run, bool force) {
  const std::vector<fs::path> remains = remains_of_run(run);
  if (!remains.empty() && !force) {
    fail(Exit::usage,
         fmt::format("'{}' holds a run already ({})", run.string(), foremost(run, remains)),
         "--resume-from-checkpoint auto goes on with it, --force removes it, another "
         "--output-dir leaves it alone");
  }
  refuse_others_files(run, remains);
  for (const fs::path& path : remains) {
    remove_atomically(path);
  }
}

}  // namespace

RunDirectory::RunDirectory(fs::path path)
    : path_(path.has_filename() ? std::move(path) : path.parent_path()),  // "run/"
      above_(path_.parent_path()) {
  refuse_others_folder(path_);
  if (path_.has_parent_path()) make_directories(path_.parent_path());
  std::error_code error;
  made_here_ = fs::create_directory(path_, error);  // of two at a time one
  make_directories(path_);
  lock_.emplace(path_);
}

RunDirectory::~RunDirectory() {
  try {
    if (made_here_ && holds_only_a_start(path_)) {
      detach_log_file();
      discard(path_);  // still locked: nobody else has begun in it
    }
  } catch (const std::exception& error) {  // it stays where it is not known what it holds
    log_warn("'{}' is left as it is: {}", path_.string(), error.what());
  }
}

void RunDirectory::keep() {
  if (made_here_) sync_directory(path_.parent_path());
  made_here_ = false;
  above_.keep();
}

std::optional<ResumeChoice> choose_start(const CheckpointConfig& config) {
  const fs::path run = config.output_dir;
  if (config.resume_from_checkpoint == "never") {
    start_over(run, config.force);
    return std::nullopt;
  }
  if (has_final_model(run) && checkpoint_steps(run).empty()) {
    fail(Exit::usage,
         fmt::format("'{}' holds a finished model (final) and no checkpoint to go on from",
                     run.string()),
         "--resume-from-checkpoint never --force removes it and trains anew, another --output-dir "
         "leaves it alone");
  }
  refuse_others_files(run, {});
  return choose_checkpoint(run, config.resume_from_checkpoint);
}

}  // namespace llm
