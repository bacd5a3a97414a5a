// One optimizer step, and one pass over the validation data.
#include <ATen/core/grad_mode.h>

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "training/trainer_core.h"

namespace llm {
namespace {

/// "layers.3" or the parameter's own name without its ends.
std::string gradient_group(const Parameter& parameter) {
  if (parameter.layer >= 0) {
    return fmt::format("layers.{:02}", parameter.layer);
  }
  std::string name = parameter.name;
  if (name.starts_with("model.")) {
    name.erase(0, 6);
  }
  return name.substr(0, name.rfind('.'));
}

int64_t bytes_of(const at::Tensor& targets, const std::vector<int32_t>& token_bytes) {
  int64_t bytes = 0;
  const at::Tensor flat = targets.to(at::kCPU).contiguous();
  const int64_t* ids = flat.data_ptr<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (ids[i] != kIgnoreTarget && ids[i] < static_cast<int64_t>(token_bytes.size())) {
      bytes += token_bytes[static_cast<size_t>(ids[i])];
    }
  }
  return bytes;
}

/// What a batch's tokens see, and who is padding.
void look_at(const TrainingBatch& batch, const at::Device& device, ForwardOptions& options) {
  const auto moved = [&](const at::Tensor& t) { return t.defined() ? t.to(device) : t; };
  options.attention_mask = moved(batch.attention_mask);
  options.segments = moved(batch.segments);
  options.positions = moved(batch.positions);
}

CrossEntropy loss_of(const Transformer& model, const TrainingBatch& batch,
                     const ForwardOptions& options, double scale) {
  const at::Device device = model.device();
  const at::Tensor hidden = model.hidden_states(batch.input_ids.to(device), options);
  const at::Tensor weights =
      batch.target_weights.defined() ? batch.target_weights.to(device) : at::Tensor();
  return model.cross_entropy(hidden, batch.targets.to(device), scale, weights);
}

}  // namespace

StepOutcome Trainer::Core::training_step() {
  const int64_t rows = setup.training.batch_size;
  const int64_t parts = setup.training.gradient_accumulation_steps;
  StepOutcome outcome;
  std::vector<TrainingBatch> batches;
  for (int64_t part = 0; part < parts; ++part) {
    batches.push_back(setup.batches(row + part * rows, rows));
    outcome.tokens += batches.back().target_count;
  }
  const at::Tensor gradients = model.flat_gradients();
  ForwardOptions options;
  options.training = true;
  options.dropout.seed =
      combine_keys(static_cast<uint64_t>(setup.seed), 0x64726f70ULL, static_cast<uint64_t>(step));
  const double token_weight =
      scale.current() / static_cast<double>(std::max<int64_t>(1, outcome.tokens));
  double nll = 0;
  for (int64_t part = 0; part < parts; ++part) {
    show_progress(part * rows);
    if (stop_requested()) {
      gradients.zero_();
      outcome.interrupted = true;
      return outcome;
    }
    TrainingBatch& batch = batches[static_cast<size_t>(part)];
    options.dropout.first_row = part * rows;
    options.router_loss_scale = token_weight * static_cast<double>(batch.target_count);
    look_at(batch, model.device(), options);
    const CrossEntropy loss = loss_of(model, batch, options, token_weight);
    loss.loss.backward();
    nll += loss.nll_sum;
    batch = {};
  }
  outcome.loss = nll / static_cast<double>(outcome.tokens);
  if (setup.on_gradients) {
    setup.on_gradients(step, gradients);
  }
  outcome.grad_norm = std::sqrt(sum_of_squares(gradients)) / scale.current();
  outcome.skipped =
      (outcome.tokens > 0 && !std::isfinite(outcome.loss)) || !std::isfinite(outcome.grad_norm);
  const int64_t norm_steps = setup.metrics.gradient_norm_steps;
  if (norm_steps > 0 && (step + 1) % norm_steps == 0) {
    take_gradient_norms();
  }
  const int64_t first_row = row;
  const double learning_rate = schedule.at(step);
  step += 1;
  row += rows * parts;
  tokens += outcome.tokens;
  if (outcome.skipped) {
    gradients.zero_();
    note_skipped(outcome, first_row);
  } else {
    const double limit = setup.training.max_grad_norm;
    const double clip =
        limit > 0 && outcome.grad_norm > limit ? limit / (outcome.grad_norm + 1e-6) : 1.0;
    optimizer->step({learning_rate, clip / scale.current()});
    skipped_in_a_row = 0;
  }
  scale.update(!outcome.skipped);
  return outcome;
}

void Trainer::Core::note_skipped(const StepOutcome& outcome, int64_t first_row) {
  // Overflow at a high loss scale is how the scale finds its level, not a fault of the run.
  const bool searching = scale.enabled && scale.value > 1 && std::isfinite(outcome.loss);
  ++skipped_steps;
  skipped_in_a_row += searching ? 0 : 1;
  const char* what = std::isfinite(outcome.loss) ? "gradient" : "loss";
  log_warn("step {}: the {} is not finite; step skipped ({} so far; rows {}-{})", step, what,
           skipped_steps, first_row, first_row + setup.training.rows_per_step() - 1);
  if (!setup.run_directory.empty()) {
    nlohmann::ordered_json note;
    note["step"] = step;
    note["not_finite"] = what;
    note["first_row"] = first_row;
    note["rows"] = setup.training.rows_per_step();
    note["seed"] = setup.seed;
    OutputFile::append_to(setup.run_directory / "skipped_steps.jsonl").write(note.dump() + "\n");
  }
  if (skipped_in_a_row >= setup.training.max_skipped_steps) {
    const std::string kept = last_checkpoint.empty()
                                 ? "no checkpoint was saved"
                                 : last_checkpoint.filename().string() + " is intact";
    fail(Exit::numerical,
         fmt::format("the {} was not finite in {} steps in a row (steps {}-{}); {}", what,
                     skipped_in_a_row, step - skipped_in_a_row + 1, step, kept),
         fmt::format("{} with a lower --learning-rate, or look at skipped_steps.jsonl for the rows",
                     last_checkpoint.empty() ? "begin again" : "go on from the last checkpoint"));
  }
}

void Trainer::Core::take_gradient_norms() {
  gradient_norms.clear();
  const at::Tensor gradients = model.flat_gradients();
  for (const Parameter& parameter : model.named_parameters()) {
    gradient_norms[gradient_group(parameter)] +=
        sum_of_squares(gradients.narrow(0, parameter.offset, parameter.tensor.numel()));
  }
  for (auto& [group, squares] : gradient_norms) {
    squares = std::sqrt(squares) / scale.current();
  }
}

int64_t Trainer::Core::validated_rows(int64_t rows, int64_t batch_size) const {
  const int64_t batches = setup.training.eval_batches;
  return batches > 0 ? std::min(rows, batches * batch_size) : rows;
}

LossTotals Trainer::Core::evaluate() {
  check(static_cast<bool>(setup.validation), "trainer: no validation data");
  return evaluate(setup.validation, setup.validation_rows, setup.training.batch_size);
}

LossTotals Trainer::Core::evaluate_long() {
  const int64_t rows = setup.training.batch_size / setup.training.eval_length_factor;
  return evaluate(setup.long_validation, setup.long_validation_rows, std::max<int64_t>(1, rows));
}

LossTotals Trainer::Core::evaluate(const BatchSource& source, int64_t last_row, int64_t rows) {
  const at::NoGradGuard no_grad;
  last_row = validated_rows(last_row, rows);
  ForwardOptions options;
  LossTotals totals;
  for (int64_t first = 0; first < last_row; first += rows) {
    show_progress(0, fmt::format("validating {:.0f}%", 100.0 * static_cast<double>(first) /
                                                           static_cast<double>(last_row)));
    const TrainingBatch batch = source(first, std::min(rows, last_row - first));
    look_at(batch, model.device(), options);
    const CrossEntropy loss = loss_of(model, batch, options, 1.0);
    totals.nll += loss.nll_sum;
    totals.tokens += batch.target_count;
    totals.correct += loss.correct;
    totals.targets += loss.counted;
    if (!setup.token_bytes.empty()) {
      totals.bytes += bytes_of(batch.scored_ids.defined() ? batch.scored_ids : batch.targets,
                               setup.token_bytes);
    }
  }
  return totals;
}

}  // namespace llm
