#include "serving/beam.h"

#include <algorithm>
#include <limits>

namespace llm {
namespace {

/// Adds those of one beam, best first.
void add_candidates(size_t index, Beam& beam, const GenerationConfig& config,
                    std::span<const float> row, std::vector<BeamCandidate>& all) {
  std::span<const uint32_t> allowed;
  if (beam.place) {
    if (beam.place->mask().allowed == 0) return;
    allowed = beam.place->mask().bits;
  }
  const double raw_total = log_sum_exp(row);
  const TopLogprobs top = config.top_logprobs == 0
                              ? nullptr
                              : std::make_shared<const std::vector<TokenLogprob>>(
                                    top_log_probabilities(row, config.top_logprobs));
  const auto adjusted = beam.sampler.adjusted(row, allowed);
  const double total = log_sum_exp(adjusted);
  for (const TokenLogprob& best : top_log_probabilities(adjusted, 2 * config.num_beams)) {
    const float value = adjusted[static_cast<size_t>(best.id)];
    if (value == -std::numeric_limits<float>::infinity()) return;
    all.push_back({index, best.id, beam.sum + static_cast<double>(value) - total,
                   static_cast<double>(row[static_cast<size_t>(best.id)]) - raw_total, top,
                   nullptr});
  }
}

}  // namespace

std::vector<BeamCandidate> best_candidates(std::span<Beam> beams, const GenerationConfig& config,
                                           std::span<const float> logits) {
  const size_t vocab = logits.size() / beams.size();
  std::vector<BeamCandidate> all;
  for (size_t i = 0; i < beams.size(); ++i)
    add_candidates(i, beams[i], config, logits.subspan(i * vocab, vocab), all);
  std::stable_sort(all.begin(), all.end(), [](const BeamCandidate& a, const BeamCandidate& b) {
    return a.sum > b.sum;  // equal ones stay in the order of beams, then of ids
  });
  const auto wanted = static_cast<size_t>(2 * config.num_beams);
  if (all.size() > wanted) all.resize(wanted);
  return all;
}

}  // namespace llm
