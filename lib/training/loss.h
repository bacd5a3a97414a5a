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
#include <string_view>
#include <vector>

#include "data/data_loader.h"

namespace llm {

class Transformer;

struct TrainingBatch {
  at::Tensor input_ids;
  at::Tensor targets;
  at::Tensor attention_mask;       // (B, T), 1 = real; undefined where every position is, or where
                                   // padding lies behind what a causal model sees
  at::Tensor segments, positions;  // (B, T) int64, as in ForwardOptions: rows of several texts;
                                   // undefined where a row is one
  at::Tensor target_weights;       // (B, T) float32, what a target's loss counts; undefined: 1
  at::Tensor scored_ids;           // (B, T) the tokens that the loss speaks of, else kIgnoreTarget;
                                   // undefined: the targets
  int64_t target_count = 0;        // how many those are: what the sum of losses is divided by
};

/// Rows [first_row, first_row + count), counted from the beginning of the run over all its steps: a
/// pure function of its arguments, so the position in the data is one number and another batch size
/// on resume continues the same stream.
using BatchSource = std::function<TrainingBatch(int64_t first_row, int64_t count)>;

/// Next-token prediction: inputs are row[0, T), targets row[1, T] as far as they are to be learnt
/// and their text began before them.
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
/// The masking itself, on rows of `tokens` (B, T) int64. Where `learnt` (B, T) uint8 is defined, 0
/// is never masked.
TrainingBatch mask_tokens(const at::Tensor& tokens, const at::Tensor& learnt,
                          const MaskedLmOptions& options, int64_t first_row);

/// How the share of masked tokens m grows with the time t in (0, 1].
enum class NoiseSchedule { linear, cosine, sqrt };  // t, 1 - cos(pi t / 2), sqrt(t)
NoiseSchedule parse_noise_schedule(std::string_view name);
struct NoiseLevel {
  double masked = 0;  // m(t): how likely each token is masked
  double weight = 0;  // m'(t) / m(t): what the loss of a masked token counts
};
NoiseLevel noise_at(NoiseSchedule schedule, double t);

/// Masked diffusion (LLaDA, https://arxiv.org/abs/2502.09992; MDLM,
/// https://arxiv.org/abs/2406.07524): each row draws a time t, each of its tokens becomes mask_id
/// with probability m(t), and the losses of the masked ones count m'(t) / m(t). Divided by all
/// tokens that could have been masked this bounds the negative log-likelihood of a text from above.
/// Times of the rows of a step are spread evenly over (0, 1). Drawn from (seed, row, position).
struct DiffusionOptions {
  NoiseSchedule schedule = NoiseSchedule::linear;
  int64_t mask_id = -1;
  uint64_t seed = 0;
  int64_t rows_per_spread = 0;  // rows whose times are spread evenly; 0: those of a step
};
BatchSource diffusion_batches(DataLoader& loader, DiffusionOptions options);
/// The masking itself, as mask_tokens(). rows_per_spread: rows whose times are spread evenly.
TrainingBatch diffuse_tokens(const at::Tensor& tokens, const at::Tensor& learnt,
                             const DiffusionOptions& options, int64_t first_row,
                             int64_t rows_per_spread);

/// Sums over tokens; divide at the end. nats, so perplexity = exp(nll / tokens).
struct LossTotals {
  double nll = 0;
  int64_t tokens = 0;   // scored ones
  int64_t correct = 0;  // targets that were the most likely token
  int64_t bytes = 0;    // of the decoded scored tokens; special tokens count none
  int64_t targets = 0;  // of the scored tokens, where they are not all: diffusion masks some

  double loss() const { return tokens > 0 ? nll / static_cast<double>(tokens) : 0; }
  double perplexity() const;
  double bits_per_byte() const;  // nll / (ln 2 * bytes); 0 where no byte lengths were given
  double accuracy() const {
    const int64_t tried = targets > 0 ? targets : tokens;
    return tried > 0 ? static_cast<double>(correct) / static_cast<double>(tried) : 0;
  }
};

}  // namespace llm
