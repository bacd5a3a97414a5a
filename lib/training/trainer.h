// The training loop: accumulation, clipping, schedule, evaluation, early stopping, checkpoints,
// resume.
//
// A step s takes rows [0, rows_per_step) of the batch source, computes the token-weighted gradient,
// clips it by its global norm and applies the optimizer with the schedule's learning rate. A step
// whose loss or gradient is not finite is skipped and counted; `max_skipped_steps` of them in a row
// end the run with Error(numerical). Everything drawn at random is a pure function of (seed, step,
// row), so a run continued from a checkpoint is bit for bit the run that was never interrupted
// (same machine, same thread count).
//
// The trainer borrows the model; it knows token ids only. Bits per byte come from a table of byte
// lengths that the caller gives; samples, pictures and the rest are callbacks. One thread calls;
// stop_requested may look at a signal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/encryption_key.h"
#include "base/progress.h"
#include "model/transformer.h"
#include "training/checkpoint.h"
#include "training/loss.h"
#include "training/lr_schedule.h"
#include "training/metrics.h"
#include "training/optimizer.h"
#include "training/precision.h"
#include "training/training_config.h"
#include "training/training_state.h"

namespace llm {

struct TrainerSetup {
  TrainingConfig training;
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  CheckpointConfig checkpoint;
  MetricsConfig metrics;
  RunIdentity identity;
  std::map<std::string, std::string> data_settings;  // "data.shuffle": "true": what else decides
                                                     // which rows come next
  int64_t seed = 0;
  std::filesystem::path run_directory;  // empty: nothing is written
  bool may_be_complete = false;         // a resume may be from the last step
  int64_t total_steps = 0;              // resolved from max_steps or epochs
  int64_t rows_per_epoch = 0;           // 0 = not known
  int64_t sequence_length = 0;          // tokens of one row, for mfu
  BatchSource batches;
  BatchSource validation;  // undefined = no validation
  int64_t validation_rows = 0;
  BatchSource long_validation;  // on rows longer than those of training; undefined = none
  int64_t long_validation_rows = 0;
  std::vector<int32_t>
      token_bytes;  // decoded length of each id, 0 for special ones; empty = no bits per byte
  std::vector<std::filesystem::path>
      model_files;               // tokenizer.model and the like, copied into every checkpoint
  EncryptionKey encryption_key;  // opens checkpoints and seals what is saved; none: plain

  std::function<bool()> stop_requested;              // looked at between micro-batches
  std::function<void(const StepRecord&)> on_record;  // after each logged step
  std::function<void(int64_t step)> on_step;         // after each step and what follows it
  std::function<void(const std::filesystem::path&)> on_checkpoint;
  std::function<void(int64_t step, const at::Tensor& flat_gradients)>
      on_gradients;  // before the norm is taken: tests plant NaN here
  Progress::Now progress_clock = Progress::Clock::now;  // tests move their own
};

enum class StopReason { finished, early_stopping, signal };

struct TrainingResult {
  StopReason reason = StopReason::finished;
  int64_t steps = 0;
  int64_t tokens = 0;
  int64_t skipped_steps = 0;
  std::optional<double> loss;            // of the last step with targets; none before the first
  std::optional<LossTotals> validation;  // of the last evaluation
  std::optional<LossTotals> long_validation;
  int64_t best_step = 0;
  std::optional<double> best_loss;
  std::filesystem::path last_checkpoint;
};

struct StepOutcome {
  double loss = 0;  // mean over the targets; NaN where the rows had none
  double grad_norm = 0;
  int64_t tokens = 0;
  bool skipped = false;
  bool interrupted = false;  // a stop was asked for in mid-step: nothing was applied
};

class Trainer {
 public:
  Trainer(TrainerSetup setup, Transformer& model);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Restores weights, optimizer, counters and scaler. Refuses by name what cannot change;
  /// returns lines about what did.
  std::vector<std::string> resume(const std::filesystem::path& checkpoint);
  /// One more file for every checkpoint from now on.
  void add_model_file(std::filesystem::path file);
  /// Runs until total_steps, early stopping or a signal; saves at the end.
  TrainingResult train();
  /// Where training stands, also after train() threw: what it counted, not why it ended.
  TrainingResult result() const;
  /// One optimizer step.
  StepOutcome training_step();
  LossTotals evaluate();
  std::filesystem::path save_checkpoint();

  int64_t step() const;
  Optimizer& optimizer();

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

/// Writes RUN/final (a model directory without training state), atomically; sealed with a key.
std::filesystem::path save_final(const std::filesystem::path& run, const Transformer& model,
                                 const std::vector<std::filesystem::path>& model_files,
                                 const EncryptionKey& key = {});

}  // namespace llm
