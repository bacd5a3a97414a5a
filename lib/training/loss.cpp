#include "training/loss.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <numbers>
#include <span>

#include "base/error.h"
#include "base/random.h"
#include "model/kernels/kernels.h"

namespace llm {
namespace {

/// Rows of the whole run, read from a loader that numbers them by step.
at::Tensor window_rows(DataLoader& loader, int64_t first_row, int64_t count) {
  const int64_t per_step = loader.options().rows_per_step;
  const int64_t cols = loader.dataset().seq_len() + 1;
  at::Tensor windows = at::empty({count, cols}, at::kLong);
  int64_t* out = windows.data_ptr<int64_t>();
  for (int64_t done = 0; done < count;) {
    const int64_t row = (first_row + done) % per_step;
    const int64_t part = std::min(count - done, per_step - row);
    const Batch batch = loader.rows((first_row + done) / per_step, row, part);
    std::copy(batch.tokens.begin(), batch.tokens.end(), out + done * cols);
    done += part;
  }
  return windows;
}

/// One draw per (row, position): uniform in [0, 1) from the high bits, and a second word for the
/// replacement.
struct MaskDraw {
  double choice;
  double treatment;
  uint64_t replacement;
};
MaskDraw draw(const CounterRandom& random, int64_t position) {
  const auto counter = static_cast<uint64_t>(position) * 3;
  return {random.uniform(counter), random.uniform(counter + 1), random.bits(counter + 2)};
}

}  // namespace

BatchSource causal_batches(DataLoader& loader) {
  return [&loader](int64_t first_row, int64_t count) {
    const at::Tensor windows = window_rows(loader, first_row, count);
    const int64_t tokens = windows.size(1) - 1;
    TrainingBatch batch;
    batch.input_ids = windows.narrow(1, 0, tokens).contiguous();
    batch.targets = windows.narrow(1, 1, tokens).contiguous();
    batch.target_count = count * tokens;
    return batch;
  };
}

BatchSource masked_batches(DataLoader& loader, MaskedLmOptions options) {
  check(options.mask_id >= 0, "training.objective: mlm needs a tokenizer with a mask token");
  return [&loader, options = std::move(options)](int64_t first_row, int64_t count) {
    const at::Tensor windows = window_rows(loader, first_row, count);
    return mask_tokens(windows.narrow(1, 0, windows.size(1) - 1).contiguous(), options, first_row);
  };
}

TrainingBatch mask_tokens(const at::Tensor& tokens, const MaskedLmOptions& options,
                          int64_t first_row) {
  TrainingBatch batch;
  batch.input_ids = tokens.clone();
  batch.targets = at::empty_like(tokens);
  const int64_t rows = tokens.size(0);
  const int64_t cols = tokens.size(1);
  int64_t* input = batch.input_ids.data_ptr<int64_t>();
  int64_t* target = batch.targets.data_ptr<int64_t>();
  std::vector<int64_t> ordinary;  // what a random replacement is drawn from
  for (int64_t id = 0; id < options.vocab_size; ++id) {
    const bool special = options.is_special.empty()
                             ? id == options.mask_id
                             : options.is_special.at(static_cast<size_t>(id));
    if (!special) {
      ordinary.push_back(id);
    }
  }
  check(!ordinary.empty(),
        "training.objective: mlm needs ordinary tokens besides the special ones");
  for (int64_t row = 0; row < rows; ++row) {
    const CounterRandom random(
        combine_keys(options.seed, 0x4d4c4dULL, static_cast<uint64_t>(first_row + row)));
    for (int64_t col = 0; col < cols; ++col) {
      int64_t& id = input[row * cols + col];
      int64_t& wanted = target[row * cols + col];
      wanted = kIgnoreTarget;
      const bool special =
          !options.is_special.empty() && options.is_special.at(static_cast<size_t>(id));
      const MaskDraw drawn = draw(random, col);
      if (special || drawn.choice >= options.probability) {
        continue;
      }
      wanted = id;
      ++batch.target_count;
      if (drawn.treatment < 0.8) {
        id = options.mask_id;
      } else if (drawn.treatment < 0.9) {
        id = ordinary[drawn.replacement % ordinary.size()];
      }
    }
  }
  return batch;
}

double LossTotals::perplexity() const { return std::exp(loss()); }

double LossTotals::bits_per_byte() const {
  return bytes > 0 ? nll / (std::numbers::ln2 * static_cast<double>(bytes)) : 0;
}

}  // namespace llm
