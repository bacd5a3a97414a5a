// From logits to the next token, in the documented order:
//   rows that no token has (a padded embedding) left out; tokens that a grammar forbids and, while
//   fewer than min_new_tokens exist, end-of-text masked; logit bias; repetition, frequency,
//   presence penalty; temperature; top_k; top_p; min_p; softmax; draw.
//
// Logits are V float32 values of one position. -inf is an impossible token, +inf a certain one; NaN
// (or nothing possible at all) is an error, exit 5. Ties are settled by the lower id everywhere, so
// top_k = 1 is argmax and the result does not depend on a sort. The steps are free functions, each
// usable and tested alone. A Sampler belongs to one sequence: its draws are a function of (seed,
// sequence, position) and of the logits only, never of what else is being generated. Not
// thread-safe; make one per sequence.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "serving/generation_config.h"
#include "serving/token_logprob.h"

namespace llm {

/// x / penalty where x > 0, else x * penalty, once for each distinct id.
void apply_repetition_penalty(std::span<float> logits, std::span<const int32_t> distinct_ids,
                              double penalty);
/// logits[id] -= frequency * count + presence * (count > 0) for each (id, count).
void apply_count_penalties(std::span<float> logits,
                           std::span<const std::pair<int32_t, int32_t>> counts, double frequency,
                           double presence);
void apply_temperature(std::span<float> logits, double temperature);

/// What may still be drawn: ids in ascending order with their logits. The filters shrink it.
struct Candidates {
  std::vector<int32_t> ids;
  std::vector<float> logits;
};
/// The k largest of all (k = 0 or k >= V: all), without those that are -inf. Throws on NaN and
/// where nothing is left.
Candidates take_top_k(std::span<const float> logits, int64_t k);
/// Unnormalised probabilities exp(logit - max) of the candidates; several +inf weigh 1 each and
/// everything else 0.
std::vector<double> weights_of(const Candidates& candidates);
/// Keeps the smallest set, most probable first, whose share of the weights reaches p (at least
/// one); p >= 1 changes nothing. Shrinks both alike.
void keep_top_p(Candidates& candidates, std::vector<double>& weights, double p);
/// Keeps those with at least p times the weight of the heaviest; p = 0 changes nothing.
void keep_min_p(Candidates& candidates, std::vector<double>& weights, double p);
/// Index of the candidate whose share of the cumulative weight holds `unit`, which lies in [0, 1).
size_t draw(std::span<const double> weights, double unit);

/// Lowest id of the largest value. Throws on NaN and where every value is -inf.
int32_t argmax(std::span<const float> logits);
/// log softmax(logits)[id] of the raw logits.
double log_probability(std::span<const float> logits, int32_t id);
/// log of the sum of exp(logits), which log softmax subtracts; +inf where a logit is.
double log_sum_exp(std::span<const float> logits);
/// The k most probable ids, best first, with log softmax of the raw logits.
std::vector<TokenLogprob> top_log_probabilities(std::span<const float> logits, int64_t k);

struct TokenChoice {
  int32_t id = -1;
  double logprob = 0;             // raw distribution; only with return_logprobs
  double probability = 0;         // after all filters; only with return_probs
  std::vector<TokenLogprob> top;  // raw distribution; only with top_logprobs
};

class Sampler {
 public:
  /// `prompt` counts for the repetition penalty, pads excluded. `sequence` tells apart the
  /// num_return_sequences of one request.
  Sampler(FrozenGenerationConfig config, std::span<const int32_t> prompt, int64_t vocab_size,
          int64_t sequence = 0);

  /// Chooses the next token and remembers it. allowed: one bit per id, or empty for all.
  TokenChoice next(std::span<const float> logits, std::span<const uint32_t> allowed = {});
  /// Remembers a token that was chosen elsewhere.
  void accept(int32_t id);
  /// What next() would choose from, where the choice is not drawn: the logits of tokens after
  /// masks, bias and penalties. Valid until the next call.
  std::span<const float> adjusted(std::span<const float> logits,
                                  std::span<const uint32_t> allowed = {});
  int64_t generated() const { return generated_; }
  /// Stands where it would after `count` tokens, as far as the draws go.
  void skip(int64_t count) { generated_ = count; }

 private:
  void remember(int32_t id);  // for the repetition penalty
  void count(int32_t id);     // for frequency and presence
  std::span<const float> of_tokens(std::span<const float> logits) const;
  TokenChoice choose(std::span<const float> logits);

  FrozenGenerationConfig config_;
  int64_t sequence_ = 0;
  int64_t generated_ = 0;
  std::vector<uint8_t> seen_;                        // per id: occurs in prompt or new tokens
  std::vector<int32_t> distinct_;                    // ids with seen_ set
  std::vector<int32_t> count_slot_;                  // per id: 1 + index into counts_, 0 = none
  std::vector<std::pair<int32_t, int32_t>> counts_;  // (id, occurrences) among the new tokens
  std::vector<float> work_;                          // V values, reused
};

}  // namespace llm
