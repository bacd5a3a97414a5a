// Beam search: the num_beams most probable beginnings are kept at every step, and the best finished
// text wins.
//
// A text's score is the sum of its tokens' log probabilities (after masks, bias and penalties, so
// that one beam is greedy decoding) divided by its number of new tokens to the power of
// length_penalty. Ties go to the beam that stands first, then to the lower id. The search ends when
// num_beams texts are finished and (unless early_stopping) none of the running ones can still score
// better than the worst of them; running texts count as finished when the length is used up. The
// beams of a request are rows of the engine's pass as other requests are, and share the blocks of
// what they have in common.
//
// The result is the best text, its `others` the next best: num_return_sequences together, fewer
// only where a grammar allows no more. Where no token may be written, the empty text is given that
// often. What the prompt has (log probabilities, cached tokens) is in all of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serving/beam.h"
#include "serving/context_plan.h"
#include "serving/finished_beams.h"
#include "serving/generation.h"
#include "serving/prompt_logprobs.h"
#include "serving/request_clock.h"

namespace llm {

class ConstraintThread;

class BeamGeneration final : public Generation {
 public:
  BeamGeneration(GenerationRequest request, const ContextPlan& plan, int64_t vocab_size,
                 ConstraintThread& constraint_thread, Clock::time_point asked);
  ~BeamGeneration() override;

  bool finished() const override { return result_.finish_reason != FinishReason::none; }
  int64_t pending_tokens() const override;
  bool decoding() const override;
  int64_t generated_tokens() const override;
  bool waits() const override { return !places_known_; }
  bool plan(int64_t budget, SequenceSource& source, std::vector<TokenSegment>& pass) override;
  void take(std::span<const float> logits) override;
  void preempt() override;
  void finish(FinishReason reason, std::string_view error = {}) override;
  bool cancelled() const override;
  bool held() const override;
  GenerationResult release() override { return std::move(result_); }

 private:
  bool look_at_grammar();
  void go_on();
  bool places_are_ready() const;
  void advance(const std::vector<BeamCandidate>& candidates);
  Beam extended(const BeamCandidate& candidate) const;

  GenerationRequest request_;
  ContextPlan plan_;
  int64_t vocab_size_;
  ConstraintThread& constraint_thread_;
  RequestClock clock_;
  std::vector<Beam> beams_;
  FinishedBeams finished_;
  std::optional<std::vector<BeamCandidate>> candidates_;  // chosen; not all places are ready yet
  bool places_known_ = true;                              // of the candidates, else of the beams
  std::vector<std::vector<int32_t>> reading_;
  size_t prompt_tokens_;
  PromptLogprobs prompt_logprobs_;
  bool choosing_ = false, whole_ = false;
  GenerationResult result_;
};

}  // namespace llm
