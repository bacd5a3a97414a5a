#include "apps/run_directory.h"

#include <fmt/format.h>

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
  std::error_code error;
  if (!fs::is_directory(folder, error) || fs::is_empty(folder, error)) return;
  const fs::path model_file = model_file_of(folder);
  if (model_file.empty() && holds_a_run(folder)) return;
  const bool has_config = fs::exists(folder / "config.yaml", error);
  const std::string why =
      !model_file.empty() ? fmt::format(" but a model ('{}')", model_file.string())
      : has_config        ? ": a run would overwrite its config.yaml"
                          : "";
  fail(Exit::usage, fmt::format("'{}' exists and is not a training run{}", folder.string(), why),
       "choose another --output-dir");
}

}  // namespace

RunDirectory::RunDirectory(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  made_here_ = !fs::exists(path_, error);
  refuse_others_folder(path_);
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
  const std::vector<fs::path> traces = remains_of_run(run);
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
