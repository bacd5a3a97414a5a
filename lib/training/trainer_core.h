// What the trainer's source files share; see trainer.h.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "training/trainer.h"

namespace llm {

/// Time and tokens since the last record.
struct LogWindow {
  double seconds = 0;
  int64_t tokens = 0;
  int64_t steps = 0;
};

struct Trainer::Core {
  TrainerSetup setup;
  Transformer& model;
  Precision precision;
  LrSchedule schedule;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<MetricsWriter> metrics;

  // What a checkpoint restores; see TrainingState.
  int64_t step = 0;
  int64_t row = 0;
  int64_t tokens = 0;
  int64_t skipped_steps = 0;
  int64_t skipped_in_a_row = 0;
  LossScale scale;
  std::optional<BestValidation> best;
  std::optional<double> early_stopping_reference;
  int64_t evaluations_without_gain = 0;
  std::optional<double> last_loss;
  std::optional<LossTotals> last_validation;
  std::optional<LossTotals> last_long_validation;

  // Of this process only.
  double matmul_flops = 0;
  LogWindow window;
  double seconds_per_step = 0;  // of the last record
  int64_t resumed_step = 0;
  int64_t saved_step = -1;
  int64_t validated_step = -1;
  std::map<std::string, double> gradient_norms;
  std::filesystem::path last_checkpoint;
  std::unique_ptr<Progress> progress;  // while train() runs

  Core(TrainerSetup setup, Transformer& model);

  // trainer_step.cpp
  StepOutcome training_step();
  LossTotals evaluate();
  /// How many of so many rows a validation takes.
  int64_t validated_rows(int64_t rows, int64_t batch_size) const;
  /// On rows longer than those of training: as many tokens, in batches of as many.
  LossTotals evaluate_long();
  // trainer_checkpoint.cpp
  std::vector<std::string> resume(const std::filesystem::path& checkpoint);
  std::filesystem::path save();
  TrainingState state() const;
  // trainer.cpp
  TrainingResult train();
  TrainingResult result() const;

  bool stop_requested() const { return setup.stop_requested && setup.stop_requested(); }
  double epoch() const {
    return setup.rows_per_epoch > 0
               ? static_cast<double>(row) / static_cast<double>(setup.rows_per_epoch)
               : 0;
  }

 private:
  /// `rows` of the step that is being made are done.
  void show_progress(int64_t rows, const std::string& what = {});
  bool validate_if_due();
  void record(const StepOutcome& outcome);
  void save_if_due();
  bool patience_is_over() const;
  void note_skipped(const StepOutcome& outcome, int64_t first_row);
  void take_gradient_norms();
  LossTotals evaluate(const BatchSource& source, int64_t rows, int64_t batch_size);
  void check_weights() const;
};

}  // namespace llm
