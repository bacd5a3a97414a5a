// A run small enough that a test can do hundreds of steps: a two-layer model over a made-up
// language in which the next token mostly follows from the last.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "base/random.h"
#include "model/init.h"
#include "model/transformer.h"
#include "training/trainer.h"

namespace llm {

/// Tensors this small only lose by being shared out.
inline const bool kOneThread = (at::set_num_threads(1), true);

inline constexpr int64_t kTinyVocab = 32;
inline constexpr int64_t kTinyLength = 8;

inline ModelConfig tiny_model_config(double dropout = 0) {
  ModelConfig config;
  config.vocab_size = kTinyVocab;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 32;
  config.max_position_embeddings = kTinyLength;
  config.dropout = dropout;
  return config;
}

/// Row r: a start drawn from r, then t -> (3 t + 1) mod 29 + 2 with one surprise in eight. uneven:
/// rows have 1 .. 8 targets, the rest is padding.
inline TrainingBatch tiny_batch(int64_t first_row, int64_t count, bool uneven) {
  TrainingBatch batch;
  batch.input_ids = at::zeros({count, kTinyLength}, at::kLong);
  batch.targets = at::full({count, kTinyLength}, kIgnoreTarget, at::kLong);
  if (uneven) {
    batch.attention_mask = at::zeros({count, kTinyLength}, at::kLong);
  }
  for (int64_t r = 0; r < count; ++r) {
    const CounterRandom random(combine_keys(99, static_cast<uint64_t>(first_row + r)));
    const int64_t length =
        uneven ? 1 + static_cast<int64_t>(random.bits(1000) % kTinyLength) : kTinyLength;
    int64_t token = 2 + static_cast<int64_t>(random.bits(0) % 29);
    for (int64_t t = 0; t < length; ++t) {
      batch.input_ids[r][t] = token;
      const bool surprise = random.uniform(static_cast<uint64_t>(t) + 1) < 0.125;
      token = surprise ? 2 + static_cast<int64_t>(random.bits(500 + static_cast<uint64_t>(t)) % 29)
                       : (3 * token + 1) % 29 + 2;
      batch.targets[r][t] = token;
      if (uneven) {
        batch.attention_mask[r][t] = 1;
      }
      ++batch.target_count;
    }
  }
  return batch;
}

inline BatchSource tiny_batches(bool uneven = false) {
  return
      [uneven](int64_t first_row, int64_t count) { return tiny_batch(first_row, count, uneven); };
}

inline TrainerSetup tiny_setup(int64_t steps, const std::filesystem::path& run = {}) {
  TrainerSetup setup;
  setup.training.batch_size = 4;
  setup.training.gradient_accumulation_steps = 2;
  setup.training.precision = "32-true";
  setup.training.eval_steps = 0;
  setup.training.max_steps = steps;
  setup.optimizer.learning_rate = 0.01;
  setup.scheduler.warmup_steps = std::min<int64_t>(2, steps);
  setup.checkpoint.save_steps = 0;
  setup.metrics.tensorboard = false;
  setup.metrics.gradient_norm_steps = 0;
  setup.seed = 7;
  setup.run_directory = run;
  setup.total_steps = steps;
  setup.rows_per_epoch = 64;
  setup.sequence_length = kTinyLength;
  setup.batches = tiny_batches();
  return setup;
}

inline std::unique_ptr<Transformer> tiny_model(double dropout = 0,
                                               at::ScalarType dtype = at::kFloat,
                                               uint64_t seed = 3) {
  auto model = std::make_unique<Transformer>(tiny_model_config(dropout), dtype);
  initialize(*model, seed);
  return model;
}

/// One whose tokens see each other, for the objectives that restore masked ones.
inline std::unique_ptr<Transformer> tiny_masked_model() {
  ModelConfig config = tiny_model_config();
  config.use_bidirectional_attention = true;
  auto model = std::make_unique<Transformer>(config, at::kFloat);
  initialize(*model, 3);
  return model;
}

/// Rows of the same language that training does not see.
inline void add_validation(TrainerSetup& setup, int64_t rows = 8) {
  setup.validation = [](int64_t first_row, int64_t count) {
    return tiny_batch(1'000'000 + first_row, count, false);
  };
  setup.validation_rows = rows;
}

}  // namespace llm
