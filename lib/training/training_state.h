// What a checkpoint holds besides tensors: training_state/state.json, and the rules for continuing
// from it under other settings.
//
// {"format": 1, "step": 1000, "epoch": 1.5, "tokens": ..., "skipped_steps": 0, "skipped_in_a_row":
// 0,
//  "optimizer": {"name": "adamw", "updates": 1000}, "schedule": {"name": "cosine", "peak": ...,
//  "warmup_steps": ..., "total_steps": ...}, "scaler": {"enabled": false, "scale": 65536,
//  "good_steps": 0}, "rng": {"kind": "counter", "seed": 42}, "data_cursor": {"row": 32000}, "best":
//  {"step": 900, "loss": 1.25} or null, "early_stopping": {"reference": 1.25, "without_gain": 0},
//  "last_loss": 1.5 or null, "last_validation": {...} or null, "last_long_validation": the same,
//  "identity": {"config_sha256": ..., "tokenizer_sha256": ..., "data_sha256": ...,
//  "validation_sha256": ...}, "validated": SHA-256 of what `best` and `last_validation` were
//  measured on, "precision": "32-true", "kernels": "avx2", "threads": 2, "settings":
//  {"training.batch_size": "8", ...}}
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "training/loss.h"
#include "training/precision.h"
#include "training/training_config.h"

namespace llm {

/// What names a run: a checkpoint is continued only where tokenizer and data agree.
struct RunIdentity {
  std::string tokenizer_sha256;
  std::string data_sha256;
  std::string config_sha256;
  std::string validation_sha256;  // "" without validation data
};

struct BestValidation {
  int64_t step = 0;
  double loss = 0;
};

struct TrainingState {
  int64_t step = 0;
  double epoch = 0;
  int64_t row = 0;  // data cursor: rows consumed
  int64_t tokens = 0;
  int64_t skipped_steps = 0;
  int64_t skipped_in_a_row = 0;
  std::string optimizer_name;
  int64_t optimizer_updates = 0;
  std::string schedule_name;
  double schedule_peak = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;
  LossScale scale;
  int64_t seed = 0;
  std::optional<BestValidation> best;
  std::optional<double> early_stopping_reference;  // the loss that a gain is measured from
  int64_t evaluations_without_gain = 0;
  std::optional<double> last_loss;  // of the last step with targets; older: none
  std::optional<LossTotals> last_validation;
  std::optional<LossTotals> last_long_validation;  // older: none
  std::string validated;  // names the rows and targets of a validation; "" without, and in older
  RunIdentity identity;
  std::string precision;
  std::string kernels;  // the backend of a CPU (kernels/cpu_backend.h), else the device; older: ""
  int64_t threads = 0;
  std::map<std::string, std::string> settings;
};

void write_training_state(const std::filesystem::path& checkpoint, const TrainingState& state);
TrainingState read_training_state(const std::filesystem::path& checkpoint);

/// The keys of the sections training, optimizer and scheduler with their values as text.
std::map<std::string, std::string> settings_of(TrainingConfig training, OptimizerConfig optimizer,
                                               SchedulerConfig scheduler);

/// "model.num_hidden_layers is 12 in the checkpoint, 24 in the config" (Error bad_input) for the
/// first key that decides which tensors exist or what they mean; keys that may change (dropout,
/// gradient checkpointing ...) are returned as lines for the log.
std::vector<std::string> compare_models(ModelConfig saved, ModelConfig wanted);

/// Whether the steps after `saved` are computed with other sums than those before: one line for a
/// warning, that the run equals the uninterrupted one only to rounding. "" where they are not, or
/// where an older checkpoint does not say.
std::string compare_kernels(const TrainingState& saved, const TrainingState& wanted,
                            const std::string& checkpoint_name);

/// compare_models for everything else: refuses another optimizer, tokenizer, data, seed, objective,
/// row length or parameter dtype, and a run that is complete (unless `may_be_complete`: what comes
/// after its last step is missing); other settings may change and are returned as lines.
std::vector<std::string> compare_states(const TrainingState& saved, const TrainingState& wanted,
                                        const CheckpointConfig& options,
                                        bool may_be_complete = false);

/// Whether the data or its order is another than the checkpoint's: then the first row comes next.
bool begins_data_anew(const TrainingState& saved, const RunIdentity& identity, int64_t seed);

}  // namespace llm
