// The finished texts of a beam search, and the score that they are ranked by: the sum of a text's
// log probabilities divided by its number of new tokens to the power of length_penalty.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "serving/beam.h"
#include "serving/generation.h"

namespace llm {

class FinishedBeams {
 public:
  explicit FinishedBeams(FrozenGenerationConfig config) : config_(std::move(config)) {}

  /// At most num_beams are kept; of equal ones those that came first. Lets the sequence go.
  void keep(Beam beam, FinishReason reason);
  bool empty() const { return kept_.empty(); }
  /// num_beams texts, and (unless early_stopping) none of those that run can become better than the
  /// worst of them.
  bool suffice(std::span<const Beam> running) const;

  /// The best num_return_sequences texts as one result; `of_prompt`: what all of them have.
  /// timing: for so many new tokens.
  GenerationResult result(const GenerationResult& of_prompt, size_t prompt_tokens,
                          const std::function<GenerationTiming(size_t)>& timing);

 private:
  struct Text {
    Beam beam;
    FinishReason reason;
    double score;
  };
  double score_of(double sum, size_t length) const;

  FrozenGenerationConfig config_;
  std::vector<Text> kept_;  // best first
};

}  // namespace llm
