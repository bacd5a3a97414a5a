// Masked-token prediction.
#include <ATen/ATen.h>

#include "base/error.h"
#include "base/random.h"
#include "model/kernels/kernels.h"
#include "training/batch_tensors.h"

namespace llm {
namespace {

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

/// What a random replacement is drawn from.
std::vector<int64_t> ordinary_tokens(const MaskedLmOptions& options) {
  std::vector<int64_t> ordinary;
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
  return ordinary;
}

}  // namespace

BatchSource masked_batches(DataLoader& loader, MaskedLmOptions options) {
  check(options.mask_id >= 0, "training.objective: mlm needs a tokenizer with a mask token");
  return [&loader, options = std::move(options)](int64_t first_row, int64_t count) {
    const RowTensors rows =
        inputs_alone(read_rows(loader, first_row, count), loader.source().seq_len());
    TrainingBatch batch = mask_tokens(rows.tokens, rows.learnt, options, first_row);
    set_visibility(batch, rows.documents, /*causal=*/false);
    return batch;
  };
}

TrainingBatch mask_tokens(const at::Tensor& tokens, const at::Tensor& learnt,
                          const MaskedLmOptions& options, int64_t first_row) {
  TrainingBatch batch;
  batch.input_ids = tokens.clone();
  batch.targets = at::full_like(tokens, kIgnoreTarget);
  const int64_t rows = tokens.size(0);
  const int64_t cols = tokens.size(1);
  int64_t* input = batch.input_ids.data_ptr<int64_t>();
  int64_t* target = batch.targets.data_ptr<int64_t>();
  const uint8_t* learn = learnt.defined() ? learnt.const_data_ptr<uint8_t>() : nullptr;
  const std::vector<int64_t> ordinary = ordinary_tokens(options);
  for (int64_t row = 0; row < rows; ++row) {
    const CounterRandom random(
        combine_keys(options.seed, 0x4d4c4dULL, static_cast<uint64_t>(first_row + row)));
    for (int64_t col = 0; col < cols; ++col) {
      const int64_t at = row * cols + col;
      int64_t& id = input[at];
      const bool special =
          !options.is_special.empty() && options.is_special.at(static_cast<size_t>(id));
      const MaskDraw drawn = draw(random, col);
      if (special || drawn.choice >= options.probability || (learn != nullptr && learn[at] == 0)) {
        continue;
      }
      target[at] = id;
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

}  // namespace llm
