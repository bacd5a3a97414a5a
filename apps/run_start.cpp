#include "apps/run_start.h"

#include "apps/absolute_text.h"
#include "base/log.h"
#include "model/device.h"
#include "training/training_state.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// The run began from a model, which nobody names now: a repeat begins from it, too.
void keep_starting_model(CheckpointConfig& config, const TrainingState& saved,
                         const fs::path& checkpoint) {
  const auto start = saved.settings.find("checkpoint.model_path");
  if (start == saved.settings.end() || start->second.empty() || !config.model_path.empty() ||
      !fs::equivalent(checkpoint.parent_path(), config.output_dir)) {
    return;
  }
  if (fs::exists(start->second)) {
    config.model_path = start->second;
    log_info("checkpoint.model_path {}, as in {}", start->second, checkpoint.filename().string());
  } else {
    log_warn("the run began from '{}', which is not there: config.yaml names no model now",
             start->second);
  }
}

}  // namespace

void keep_choices(RunConfig& run, const fs::path& checkpoint) {
  const TrainingState saved = read_training_state(checkpoint);
  keep_starting_model(run.checkpoint, saved, checkpoint);
  const bool any_precision = run.training.precision == "auto" && run.runtime.dtype == "auto";
  if (run.runtime.seed < 0) {
    run.runtime.seed = saved.seed;
  }
  if (any_precision) {
    run.training.precision = saved.precision;
    const std::string usual = native_precision(resolve_device(run.runtime.device));
    if (usual != saved.precision) {
      log_info("training.precision auto: {} as in {}, where {} would be usual here",
               saved.precision, checkpoint.filename().string(), usual);
    }
  }
}

void settle_start(CheckpointConfig& config, const std::optional<ResumeChoice>& start) {
  if (start && !fs::equivalent(start->checkpoint.parent_path(), config.output_dir)) {
    config.resume_from_checkpoint = absolute_text(config.resume_from_checkpoint);
    return;
  }
  config.resume_from_checkpoint = "auto";
  config.reset_optimizer = config.allow_data_change = config.force = false;
}

}  // namespace llm
