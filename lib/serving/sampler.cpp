#include "serving/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "serving/constraint/constraint.h"

namespace llm {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

[[noreturn]] void fail_on_nan(size_t id) {
  fail(Exit::numerical, fmt::format("sampling: the logit of token {} is not a number", id),
       "the weights or the activations overflowed; try --dtype float32");
}

[[noreturn]] void fail_on_nothing() {
  fail(Exit::numerical, "sampling: no token is possible, every logit is -inf");
}

/// Larger logit first, then the lower id: a strict order without ties.
struct ByRank {
  const float* logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

}  // namespace

void apply_repetition_penalty(std::span<float> logits, std::span<const int32_t> distinct_ids,
                              double penalty) {
  const auto factor = static_cast<float>(penalty);
  for (const int32_t id : distinct_ids) {
    float& x = logits[static_cast<size_t>(id)];
    x = x > 0 ? x / factor : x * factor;
  }
}

void apply_count_penalties(std::span<float> logits,
                           std::span<const std::pair<int32_t, int32_t>> counts, double frequency,
                           double presence) {
  for (const auto& [id, count] : counts) {
    logits[static_cast<size_t>(id)] -=
        static_cast<float>(frequency * count + (count > 0 ? presence : 0.0));
  }
}

void apply_temperature(std::span<float> logits, double temperature) {
  const auto divisor = static_cast<float>(temperature);
  for (float& x : logits) x /= divisor;
}

Candidates take_top_k(std::span<const float> logits, int64_t k) {
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id])) [[unlikely]]
      fail_on_nan(id);
  }
  const ByRank by_rank{logits.data()};
  Candidates kept;
  if (k <= 0 || static_cast<size_t>(k) >= logits.size()) {
    kept.ids.resize(logits.size());
    std::iota(kept.ids.begin(), kept.ids.end(), 0);
  } else {
    // One pass with a rising bar: only what beats the worst of the best k so far is looked at
    // again.
    const auto wanted = static_cast<size_t>(k);
    const size_t room = std::min(logits.size(), 2 * wanted + 64);
    kept.ids.reserve(room);
    float bar = kImpossible;
    bool full = false;
    for (size_t id = 0; id < logits.size(); ++id) {
      if (full && logits[id] <= bar) continue;
      kept.ids.push_back(static_cast<int32_t>(id));
      if (kept.ids.size() < room) continue;
      const auto worst = kept.ids.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
      std::nth_element(kept.ids.begin(), worst, kept.ids.end(), by_rank);
      bar = logits[static_cast<size_t>(*worst)];
      full = true;
      kept.ids.resize(wanted);
    }
    if (kept.ids.size() > wanted) {
      std::nth_element(kept.ids.begin(), kept.ids.begin() + static_cast<std::ptrdiff_t>(wanted - 1),
                       kept.ids.end(), by_rank);
      kept.ids.resize(wanted);
    }
    std::sort(kept.ids.begin(), kept.ids.end());
  }
  std::erase_if(kept.ids,
                [&](int32_t id) { return logits[static_cast<size_t>(id)] == kImpossible; });
  if (kept.ids.empty()) fail_on_nothing();
  kept.logits.reserve(kept.ids.size());
  for (const int32_t id : kept.ids) kept.logits.push_back(logits[static_cast<size_t>(id)]);
  return kept;
}

std::vector<double> weights_of(const Candidates& candidates) {
  const float largest = *std::max_element(candidates.logits.begin(), candidates.logits.end());
  std::vector<double> weights;
  weights.reserve(candidates.logits.size());
  for (const float x : candidates.logits) {
    const bool certain = std::isinf(largest);
    weights.push_back(certain ? (x == largest ? 1.0 : 0.0)
                              : std::exp(static_cast<double>(x) - static_cast<double>(largest)));
  }
  return weights;
}

namespace {

/// Keeps the candidates whose places are in `places` (ascending).
void keep_places(Candidates& candidates, std::vector<double>& weights,
                 const std::vector<size_t>& places) {
  for (size_t i = 0; i < places.size(); ++i) {
    candidates.ids[i] = candidates.ids[places[i]];
    candidates.logits[i] = candidates.logits[places[i]];
    weights[i] = weights[places[i]];
  }
  candidates.ids.resize(places.size());
  candidates.logits.resize(places.size());
  weights.resize(places.size());
}

}  // namespace

void keep_top_p(Candidates& candidates, std::vector<double>& weights, double p) {
  if (p >= 1.0) return;
  const double enough = p * std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto heavier = [&](size_t a, size_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  };
  std::vector<size_t> places(weights.size());
  std::iota(places.begin(), places.end(), size_t{0});
  // The heaviest come first in ever larger sorted stretches: a peaked distribution never pays for
  // sorting the vocabulary.
  double sum = 0;
  size_t kept = 0;
  for (size_t sorted = 0, stretch = 64; sorted < places.size() && (kept == 0 || sum < enough);
       stretch *= 4) {
    const size_t end = std::min(places.size(), sorted + stretch);
    std::partial_sort(places.begin() + static_cast<std::ptrdiff_t>(sorted),
                      places.begin() + static_cast<std::ptrdiff_t>(end), places.end(), heavier);
    for (; kept < end && (kept == 0 || sum < enough); ++kept) sum += weights[places[kept]];
    sorted = end;
  }
  places.resize(kept);
  std::sort(places.begin(), places.end());
  keep_places(candidates, weights, places);
}

void keep_min_p(Candidates& candidates, std::vector<double>& weights, double p) {
  if (p <= 0.0) return;
  const double bar = p * *std::max_element(weights.begin(), weights.end());
  std::vector<size_t> places;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= bar) places.push_back(i);
  }
  keep_places(candidates, weights, places);
}

size_t draw(std::span<const double> weights, double unit) {
  const double target = unit * std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0) continue;
    sum += weights[i];
    last = i;
    if (target < sum) return i;
  }
  return last;  // rounding: the target met the very end
}

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id])) [[unlikely]]
      fail_on_nan(id);
    if (logits[id] > logits[best]) best = id;
  }
  if (logits[best] == kImpossible) fail_on_nothing();
  return static_cast<int32_t>(best);
}

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (const float x : logits)
    sum += std::exp(static_cast<double>(x) - static_cast<double>(largest));
  return static_cast<double>(largest) + std::log(sum);
}

double log_probability(std::span<const float> logits, int32_t id) {
  const double total = log_sum_exp(logits);
  const float own = logits[static_cast<size_t>(id)];
  if (!std::isinf(total)) return static_cast<double>(own) - total;
  const auto largest = static_cast<float>(total);  // several certain tokens share it all
  const auto certain = static_cast<double>(std::count(logits.begin(), logits.end(), largest));
  return own == largest ? -std::log(certain) : -std::numeric_limits<double>::infinity();
}

std::vector<TokenLogprob> top_log_probabilities(std::span<const float> logits, int64_t k) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min<int64_t>(k, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), ByRank{logits.data()});
  std::vector<TokenLogprob> top;
  const double total = log_sum_exp(logits);
  for (auto id = ids.begin(); id != end; ++id) {
    top.push_back({*id, std::isinf(total)
                            ? log_probability(logits, *id)
                            : static_cast<double>(logits[static_cast<size_t>(*id)]) - total});
  }
  return top;
}

Sampler::Sampler(FrozenGenerationConfig config, std::span<const int32_t> prompt, int64_t vocab_size,
                 int64_t sequence)
    : config_(std::move(config)), sequence_(sequence) {
  if (config_->repetition_penalty != 1.0) {
    seen_.resize(static_cast<size_t>(vocab_size));
    for (const int32_t id : prompt) remember(id);
  }
  if (config_->frequency_penalty != 0.0 || config_->presence_penalty != 0.0)
    count_slot_.resize(static_cast<size_t>(vocab_size));
}

void Sampler::remember(int32_t id) {
  if (seen_.empty() || (config_->pad_token_id && id == *config_->pad_token_id)) return;
  uint8_t& seen = seen_[static_cast<size_t>(id)];
  if (seen == 0) distinct_.push_back(id);
  seen = 1;
}

void Sampler::count(int32_t id) {
  if (count_slot_.empty()) return;
  int32_t& slot = count_slot_[static_cast<size_t>(id)];
  if (slot == 0) {
    counts_.emplace_back(id, 0);
    slot = static_cast<int32_t>(counts_.size());
  }
  ++counts_[static_cast<size_t>(slot - 1)].second;
}

/// Ids beyond them have a row in the model and nothing that they stand for.
std::span<const float> Sampler::of_tokens(std::span<const float> logits) const {
  const auto tokens = static_cast<size_t>(config_.tokens());
  return tokens > 0 && tokens < logits.size() ? logits.first(tokens) : logits;
}

std::span<const float> Sampler::adjusted(std::span<const float> logits,
                                         std::span<const uint32_t> allowed) {
  const bool mask_eos = generated_ < config_->min_new_tokens && !config_->eos_token_id.empty();
  if (!mask_eos && distinct_.empty() && counts_.empty() && config_->logit_bias.empty() &&
      allowed.empty())
    return of_tokens(logits);
  work_.assign(logits.begin(), logits.end());
  if (!allowed.empty()) apply_mask(work_, allowed);
  if (mask_eos) {
    for (const int64_t id : config_->eos_token_id) work_[static_cast<size_t>(id)] = kImpossible;
  }
  for (const auto& [id, bias] : config_->logit_bias)
    work_[static_cast<size_t>(id)] += static_cast<float>(bias);
  apply_repetition_penalty(work_, distinct_, config_->repetition_penalty);
  apply_count_penalties(work_, counts_, config_->frequency_penalty, config_->presence_penalty);
  return of_tokens(work_);
}

TokenChoice Sampler::choose(std::span<const float> logits) {
  if (config_.greedy()) return {argmax(logits), 0.0, 1.0, {}};
  if (config_->temperature != 1.0) {
    if (work_.empty() || logits.data() != work_.data()) work_.assign(logits.begin(), logits.end());
    apply_temperature(work_, config_->temperature);
    logits = std::span<const float>(work_).first(logits.size());
  }
  Candidates candidates = take_top_k(logits, config_->top_k);
  std::vector<double> weights = weights_of(candidates);
  keep_top_p(candidates, weights, config_->top_p);
  keep_min_p(candidates, weights, config_->min_p);
  const CounterRandom random(combine_keys(config_.seed(), static_cast<uint64_t>(sequence_)));
  const size_t place = draw(weights, random.uniform(static_cast<uint64_t>(generated_)));
  return {candidates.ids[place],
          0.0,
          weights[place] / std::accumulate(weights.begin(), weights.end(), 0.0),
          {}};
}

TokenChoice Sampler::next(std::span<const float> logits, std::span<const uint32_t> allowed) {
  TokenChoice choice = choose(adjusted(logits, allowed));
  if (config_->return_logprobs) choice.logprob = log_probability(logits, choice.id);
  if (config_->top_logprobs > 0) choice.top = top_log_probabilities(logits, config_->top_logprobs);
  accept(choice.id);
  return choice;
}

void Sampler::accept(int32_t id) {
  remember(id);
  count(id);
  ++generated_;
}

}  // namespace llm
