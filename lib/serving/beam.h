// One beginning of a text in a beam search, and the tokens that it may go on with.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "serving/constraint/grammar_place.h"
#include "serving/sampler.h"
#include "serving/stopping.h"
#include "serving/token_logprob.h"
#include "serving/token_model.h"

namespace llm {

using TopLogprobs = std::shared_ptr<const std::vector<TokenLogprob>>;

struct Beam {
  std::shared_ptr<TokenSequence> sequence;  // shared only between the steps of one choice
  std::vector<int32_t> history;             // prompt and new tokens
  Sampler sampler;
  TextStreamer streamer;
  GrammarPlacePtr place;  // with a grammar
  std::string text;
  double sum = 0;                 // of the log probabilities that the text is ranked by
  std::vector<double> logprobs;   // of each new token, raw
  std::vector<TopLogprobs> tops;  // with top_logprobs; shared with the beams that begin alike

  /// Tokens that its sequence has not read.
  int64_t pending() const { return std::ssize(history) - (sequence ? sequence->length() : 0); }
};

struct BeamCandidate {
  size_t beam;  // its parent
  int32_t id;
  double sum, logprob;  // with this token; of this token in the raw distribution
  TopLogprobs top;      // of its place; null unless asked for
  GrammarPlacePtr place;
};

/// Twice as many as there are to be beams, so that enough go on when some of them end; best first.
/// logits: a row for each beam. Beams without an allowed token have none.
std::vector<BeamCandidate> best_candidates(std::span<Beam> beams, const GenerationConfig& config,
                                           std::span<const float> logits);

}  // namespace llm
