#include "training/trainer.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/log.h"
#include "model/model_size.h"
#include "training/throughput.h"
#include "training/trainer_core.h"

namespace llm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Trainer::Core::Core(TrainerSetup given, Transformer& transformer)
    : setup(std::move(given)), model(transformer) {
  validate(setup.training, setup.optimizer, setup.scheduler, setup.total_steps);
  check(static_cast<bool>(setup.batches), "trainer: no training data");
  check(setup.training.restores_masked() == model.config().use_bidirectional_attention,
        "trainer: training.objective {} does not fit model.use_bidirectional_attention {}",
        setup.training.objective, model.config().use_bidirectional_attention);
  precision = parse_precision(setup.training.precision, model.device());
  check(model.dtype() == precision.parameters || model.dtype() == at::kDouble,
        "trainer: the model's parameters do not have the dtype of {}", precision.name);
  model.flat_gradients();
  if (precision.compute != precision.parameters) {
    model.set_compute_dtype(precision.compute);
  }
  scale.enabled = precision.loss_scaling;
  schedule = make_lr_schedule(setup.scheduler, setup.optimizer.learning_rate, setup.total_steps);
  optimizer = make_optimizer(setup.optimizer, flat_parameters_of(model));
}

bool Trainer::Core::validate_if_due() {
  const bool last = step >= setup.total_steps;
  const bool due = last || (setup.training.eval_steps > 0 && step % setup.training.eval_steps == 0);
  if (!due || !setup.validation || validated_step == step) {
    return false;
  }
  validated_step = step;
  const LossTotals totals = evaluate();
  if (totals.tokens == 0) {
    log_warn("the validation data has no token to learn: there is no validation loss");
    return false;
  }
  last_validation = totals;
  if (setup.long_validation) {
    last_long_validation = evaluate_long();
  }
  const double loss = last_validation->loss();
  if (std::isfinite(loss) && (!best || loss < best->loss)) {
    best = BestValidation{step, loss};
  }
  // A reference only moves by real gains: many small ones below the threshold add up against it.
  if (std::isfinite(loss) &&
      (!early_stopping_reference ||
       loss < *early_stopping_reference - setup.training.early_stopping_threshold)) {
    early_stopping_reference = loss;
    evaluations_without_gain = 0;
  } else {
    ++evaluations_without_gain;
  }
  return true;
}

void Trainer::Core::record(const StepOutcome& outcome) {
  StepRecord record;
  record.step = step;
  record.epoch = epoch();
  record.tokens = tokens;
  record.loss = outcome.loss;
  record.lr = schedule.at(step - 1);
  record.grad_norm = outcome.grad_norm;
  record.step_ms = window.seconds * 1e3 / static_cast<double>(window.steps);
  record.tokens_per_second = static_cast<double>(window.tokens) / window.seconds;
  const double steps_per_second = static_cast<double>(window.steps) / window.seconds;
  record.samples_per_second =
      steps_per_second * static_cast<double>(setup.training.rows_per_step());
  record.batches_per_second =
      steps_per_second * static_cast<double>(setup.training.gradient_accumulation_steps);
  const double flops = training_flops_per_token(model.config(), setup.sequence_length);
  record.mfu = matmul_flops > 0 ? record.tokens_per_second * flops / matmul_flops : 0;
  record.peak_memory_bytes = peak_memory_bytes();
  record.skipped_steps = skipped_steps;
  if (validated_step == step) {
    record.validation = last_validation;
    record.long_validation = last_long_validation;
  }
  record.gradient_norms = std::move(gradient_norms);
  gradient_norms.clear();
  seconds_per_step = window.seconds / static_cast<double>(window.steps);
  window = {};
  if (metrics) {
    metrics->write(record);
  }
  const double eta = static_cast<double>(setup.total_steps - step) * seconds_per_step;
  const auto validation_loss =
      last_validation ? std::optional(last_validation->loss()) : std::nullopt;
  log_record(LogLevel::info, step_line(record, setup.total_steps, validation_loss, eta),
             fields_of(record));
  const GradientHealth health = judge_gradients(record.gradient_norms);
  for (const std::string& group : health.exploding) {
    log_warn("step {}: the gradient of {} explodes (norm {:.3g})", step, group,
             record.gradient_norms.at(group));
  }
  for (const std::string& group : health.vanishing) {
    log_warn("step {}: the gradient of {} vanishes (norm {:.3g})", step, group,
             record.gradient_norms.at(group));
  }
  if (progress) {
    progress->put_off();
  }
  if (setup.on_record) {
    setup.on_record(record);
  }
}

void Trainer::Core::show_progress(int64_t rows, const std::string& what) {
  if (progress) {
    const std::string note = what.empty() ? fmt::format("step {}/{}", step + 1, setup.total_steps)
                                          : fmt::format("step {}, {}", step, what);
    progress->update(step * setup.training.rows_per_step() + rows, note);
  }
}

void Trainer::Core::save_if_due() {
  if (setup.run_directory.empty()) {
    return;
  }
  const CheckpointConfig& config = setup.checkpoint;
  bool due = step >= setup.total_steps || (config.save_steps > 0 && step % config.save_steps == 0);
  const bool better = best && best->step == step && validated_step == step;
  if (config.save_epochs > 0 && setup.rows_per_epoch > 0) {
    const int64_t rows = config.save_epochs * setup.rows_per_epoch;
    due = due || row / rows != (row - setup.training.rows_per_step()) / rows;
  }
  // In the middle of a run of skipped steps the weights may be the cause: what is on disk is
  // better, unless the validation has just shown otherwise.
  if (better || (due && skipped_in_a_row == 0)) {
    save();
  }
}

bool Trainer::Core::patience_is_over() const {
  const int64_t patience = setup.training.early_stopping_patience;
  return patience > 0 && evaluations_without_gain >= patience;
}

TrainingResult Trainer::Core::train() {
  if (!setup.run_directory.empty()) {
    metrics = std::make_unique<MetricsWriter>(setup.run_directory, setup.metrics, resumed_step);
  }
  matmul_flops = measured_matmul_flops(model.compute_dtype(), model.device());
  log_info(
      "speed of a plain 1024 x 1024 matrix product here: {:.0f} GFLOP/s (mfu is the share of it)",
      matmul_flops / 1e9);
  const int64_t rows = setup.training.rows_per_step();
  const bool countable = setup.total_steps <= std::numeric_limits<int64_t>::max() / rows;
  progress = std::make_unique<Progress>(countable ? setup.total_steps * rows : 0, "training",
                                        "rows", step * rows, setup.progress_clock);
  StopReason reason = StopReason::finished;
  while (step < setup.total_steps) {
    if (patience_is_over()) {  // also at once where a resumed run had stopped for this reason
      log_info("early stopping: {} validations in a row brought no gain above {}",
               evaluations_without_gain, setup.training.early_stopping_threshold);
      reason = StopReason::early_stopping;
      break;
    }
    if (stop_requested()) {
      reason = StopReason::signal;
      break;
    }
    const auto start = Clock::now();
    const StepOutcome outcome = training_step();
    if (outcome.interrupted) {
      continue;
    }
    window.seconds += seconds_since(start);
    window.tokens += outcome.tokens;
    window.steps += 1;
    if (outcome.tokens > 0) last_loss = outcome.loss;
    const bool validated = validate_if_due();
    if (step % setup.metrics.logging_steps == 0 || step == 1 || step >= setup.total_steps ||
        validated || !gradient_norms.empty()) {
      record(outcome);
    }
    save_if_due();
    if (setup.on_step) {
      setup.on_step(step);
    }
  }
  if (saved_step != step && !setup.run_directory.empty()) {
    save();
  }
  progress.reset();
  TrainingResult end = result();
  end.reason = reason;
  return end;
}

TrainingResult Trainer::Core::result() const {
  TrainingResult result;
  result.loss = last_loss;
  result.steps = step;
  result.tokens = tokens;
  result.skipped_steps = skipped_steps;
  result.validation = last_validation;
  result.long_validation = last_long_validation;
  if (best) {
    result.best_step = best->step;
    result.best_loss = best->loss;
  }
  result.last_checkpoint = last_checkpoint;
  return result;
}

Trainer::Trainer(TrainerSetup setup, Transformer& model)
    : core_(std::make_unique<Core>(std::move(setup), model)) {}
Trainer::~Trainer() = default;
std::vector<std::string> Trainer::resume(const std::filesystem::path& checkpoint) {
  return core_->resume(checkpoint);
}
void Trainer::add_model_file(std::filesystem::path file) {
  core_->setup.model_files.push_back(std::move(file));
}
TrainingResult Trainer::train() { return core_->train(); }
TrainingResult Trainer::result() const { return core_->result(); }
StepOutcome Trainer::training_step() { return core_->training_step(); }
LossTotals Trainer::evaluate() { return core_->evaluate(); }
std::filesystem::path Trainer::save_checkpoint() { return core_->save(); }
int64_t Trainer::step() const { return core_->step; }
Optimizer& Trainer::optimizer() { return *core_->optimizer; }

}  // namespace llm
