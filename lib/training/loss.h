// Training batches, objectives and the token-weighted loss.
//
// A step's loss is the sum of the losses of all its target tokens divided by their number, over
// every micro-batch (and rank) together. The number is counted before the first backward pass, so
// how rows are split into micro-batches does not matter (1 x 8 = 2 x 4 = 8 x 1). Shapes: B rows, T
// tokens; input_ids (B, T) int64, targets (B, T) int64 with kIgnoreTarget where nothing is to be
// learnt.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "data/data_loader.h"

namespace llm {

class Transformer;

struct TrainingBatch {
  at::Tensor input_ids;
  at::Tensor targets;
  at::Tensor attention_mask;  // (B, T), 1 = real; undefined where every position is
  int64_t target_count = 0;
};

/// Rows [first_row, first_row + count), counted from the beginning of the run over all its steps: a
/// pure function of its arguments, so the position in the data is one number and another batch size
/// on resume continues the same stream.
using BatchSource = std::function<TrainingBatch(int64_t first_row, int64_t count)>;

/// Next-token prediction: inputs are window[0, T), targets window[1, T].
BatchSource causal_batches(DataLoader& loader);

/// Masked-token prediction (BERT, https://arxiv.org/abs/1810.04805): each position is a target with
/// `probability`; of those 80 % become mask_id, 10 % a random ordinary token, 10 % stay. Drawn from
/// (seed, row, position). Special ids are never masked.
struct MaskedLmOptions {
  double probability = 0.15;
  int64_t mask_id = -1;
  int64_t vocab_size = 0;
  std::vector<bool> is_special;  // by id; empty = only mask_id
  uint64_t seed = 0;
};
BatchSource masked_batches(DataLoader& loader, MaskedLmOptions options);
/// The masking itself, on rows of `tokens` (B, T) int64.
TrainingBatch mask_tokens(const at::Tensor& tokens, const MaskedLmOptions& options,
                          int64_t first_row);

/// Sums over tokens; divide at the end. nats, so perplexity = exp(nll / tokens).
struct LossTotals {
  double nll = 0;
  int64_t tokens = 0;
  int64_t correct = 0;
  int64_t bytes = 0;  // of the decoded target tokens; special tokens count none

  double loss() const { return tokens > 0 ? nll / static_cast<double>(tokens) : 0; }
  double perplexity() const;
  double bits_per_byte() const;  // nll / (ln 2 * bytes); 0 where no byte lengths were given
  double accuracy() const {
    return tokens > 0 ? static_cast<double>(correct) / static_cast<double>(tokens) : 0;
  }
};

}  // namespace llm
