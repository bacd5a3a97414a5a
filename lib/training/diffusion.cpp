// Masked diffusion as a training objective.
#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/random.h"
#include "model/kernels/kernels.h"
#include "training/batch_tensors.h"

namespace llm {
namespace {

constexpr double kLeastTime = 1e-3;  // below it weights grow without bound
constexpr uint64_t kTimeStream = 0x74696d65;
constexpr uint64_t kMaskStream = 0x6e6f697365;
constexpr double kQuarterTurn = std::numbers::pi / 2;

/// In [0, 1), for a row: a random start for each group of rows, then even steps.
double draw(const DiffusionOptions& options, int64_t row, int64_t rows_per_spread) {
  const CounterRandom random(combine_keys(options.seed, kTimeStream));
  const double start = random.uniform(static_cast<uint64_t>(row / rows_per_spread));
  const double step =
      static_cast<double>(row % rows_per_spread) / static_cast<double>(rows_per_spread);
  return std::fmod(start + step, 1.0);
}

/// What a row is masked with. Weights make up for the times left out, so that those of a token add
/// up to 1 over all times, and the loss still bounds the likelihood.
NoiseLevel noise_of(const DiffusionOptions& options, int64_t row, int64_t rows_per_spread) {
  const double time = kLeastTime + (1 - kLeastTime) * draw(options, row, rows_per_spread);
  NoiseLevel level = noise_at(options.schedule, time);
  level.weight *= (1 - kLeastTime) / (1 - noise_at(options.schedule, kLeastTime).masked);
  return level;
}

}  // namespace

NoiseSchedule parse_noise_schedule(std::string_view name) {
  check(name == "linear" || name == "cosine" || name == "sqrt",
        "training.noise_schedule: '{}' is not known; choose linear, cosine, sqrt", name);
  return name == "linear"   ? NoiseSchedule::linear
         : name == "cosine" ? NoiseSchedule::cosine
                            : NoiseSchedule::sqrt;
}

NoiseLevel noise_at(NoiseSchedule schedule, double t) {
  switch (schedule) {
    case NoiseSchedule::linear:
      return {t, 1 / t};
    case NoiseSchedule::sqrt:
      return {std::sqrt(t), 0.5 / t};
    case NoiseSchedule::cosine:
      break;
  }
  const double masked = 2 * std::pow(std::sin(kQuarterTurn * t / 2), 2);  // 1 - cos
  return {masked, kQuarterTurn * std::sin(kQuarterTurn * t) / masked};
}

BatchSource diffusion_batches(DataLoader& loader, DiffusionOptions options) {
  check(options.mask_id >= 0, "training.objective: diffusion needs a tokenizer with a mask token");
  if (options.rows_per_spread == 0) options.rows_per_spread = loader.options().rows_per_step;
  return [&loader, options](int64_t first_row, int64_t count) {
    const RowTensors rows =
        inputs_alone(read_rows(loader, first_row, count), loader.source().seq_len());
    TrainingBatch batch =
        diffuse_tokens(rows.tokens, rows.learnt, options, first_row, options.rows_per_spread);
    set_visibility(batch, rows.documents, /*causal=*/false);
    return batch;
  };
}

TrainingBatch diffuse_tokens(const at::Tensor& tokens, const at::Tensor& learnt,
                             const DiffusionOptions& options, int64_t first_row,
                             int64_t rows_per_spread) {
  TrainingBatch batch;
  batch.input_ids = tokens.clone();
  batch.targets = at::full_like(tokens, kIgnoreTarget);
  batch.scored_ids = learnt.defined() ? tokens.masked_fill(learnt == 0, kIgnoreTarget) : tokens;
  batch.target_weights = at::zeros(tokens.sizes(), at::kFloat);
  const int64_t cols = tokens.size(1);
  int64_t* input = batch.input_ids.data_ptr<int64_t>();
  int64_t* target = batch.targets.data_ptr<int64_t>();
  float* weight = batch.target_weights.data_ptr<float>();
  const int64_t* scored = batch.scored_ids.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < tokens.size(0); ++row) {
    const NoiseLevel noise = noise_of(options, first_row + row, rows_per_spread);
    const CounterRandom random(
        combine_keys(options.seed, kMaskStream, static_cast<uint64_t>(first_row + row)));
    for (int64_t col = 0; col < cols; ++col) {
      const int64_t at = row * cols + col;
      if (scored[at] == kIgnoreTarget) {
        continue;
      }
      ++batch.target_count;
      if (random.uniform(static_cast<uint64_t>(col)) < noise.masked) {
        target[at] = input[at];
        input[at] = options.mask_id;
        weight[at] = static_cast<float>(noise.weight);
      }
    }
  }
  return batch;
}

}  // namespace llm
