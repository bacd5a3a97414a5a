#include "serving/finished_beams.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace llm {

double FinishedBeams::score_of(double sum, size_t length) const {
  return sum / std::pow(static_cast<double>(std::max<size_t>(length, 1)), config_->length_penalty);
}

void FinishedBeams::keep(Beam beam, FinishReason reason) {
  beam.sequence.reset();
  const double score = score_of(beam.sum, beam.logprobs.size());
  const auto place = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const Text& other) { return other.score < score; });
  kept_.insert(place, {std::move(beam), reason, score});
  if (std::ssize(kept_) > config_->num_beams) kept_.pop_back();
}

bool FinishedBeams::suffice(std::span<const Beam> running) const {
  if (std::ssize(kept_) < config_->num_beams) return false;
  if (config_->early_stopping) return true;
  double best = -std::numeric_limits<double>::infinity();
  for (const Beam& beam : running) best = std::max(best, beam.sum);
  const size_t reach = config_->length_penalty > 0 ? static_cast<size_t>(config_.max_new_tokens())
                                                   : running.front().logprobs.size();
  return score_of(best, reach) <= kept_.back().score;
}

GenerationResult FinishedBeams::result(const GenerationResult& of_prompt, size_t prompt_tokens,
                                       const std::function<GenerationTiming(size_t)>& timing) {
  const auto wanted = static_cast<size_t>(config_->num_return_sequences);
  std::vector<GenerationResult> texts;
  for (size_t i = 0; i < std::min(kept_.size(), wanted); ++i) {
    Text& one = kept_[i];
    GenerationResult text = of_prompt;
    text.token_ids.assign(one.beam.history.begin() + static_cast<std::ptrdiff_t>(prompt_tokens),
                          one.beam.history.end());
    text.text = one.beam.text + one.beam.streamer.finish();
    text.finish_reason = one.reason;
    if (config_->return_logprobs) text.logprobs = std::move(one.beam.logprobs);
    for (const TopLogprobs& top : one.beam.tops) text.top_logprobs.push_back(*top);
    text.score = one.score;
    text.timing = timing(text.token_ids.size());
    texts.push_back(std::move(text));
  }
  if (texts.size() == 1 && texts[0].token_ids.empty()) {
    const GenerationResult nothing = texts[0];
    texts.resize(wanted, nothing);
  }
  GenerationResult best = std::move(texts[0]);
  best.others.assign(std::make_move_iterator(texts.begin() + 1),
                     std::make_move_iterator(texts.end()));
  return best;
}

}  // namespace llm
