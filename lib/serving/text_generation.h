// One text, token after token: prompt, sampling, stopping, streaming, and speculation where the
// request asks for it.
//
// Preemption and cut prompts need no state of their own: what the sequence has not read of the
// history is pending, and is read next. Since logits do not depend on how tokens are cut into
// passes, the text is the same however often it was put aside.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "serving/context_plan.h"
#include "serving/draft.h"
#include "serving/generation.h"
#include "serving/prompt_logprobs.h"
#include "serving/request_clock.h"
#include "serving/sampler.h"

namespace llm {

class ConstraintThread;
class GrammarPlace;

class TextGeneration final : public Generation {
 public:
  /// Takes the request over; keeps a reference to the thread. drafter: null for one token a step.
  TextGeneration(GenerationRequest request, const ContextPlan& plan, int64_t vocab_size,
                 std::unique_ptr<Drafter> drafter, ConstraintThread& constraint_thread,
                 Clock::time_point asked);
  ~TextGeneration() override;

  bool finished() const override { return result_.finish_reason != FinishReason::none; }
  int64_t pending_tokens() const override;
  bool decoding() const override { return choosing_ && pending_tokens() == 1; }
  int64_t generated_tokens() const override { return sampler_.generated(); }
  bool waits() const override { return !place_known_; }
  bool plan(int64_t budget, SequenceSource& source, std::vector<TokenSegment>& pass) override;
  void take(std::span<const float> logits) override;
  void preempt() override;
  void finish(FinishReason reason, std::string_view error = {}) override;
  const TokenSequence* sequence() const override { return sequence_.get(); }
  std::span<const int32_t> tokens() const override { return history_; }
  bool cancelled() const override;
  bool held() const override;
  GenerationResult release() override { return std::move(result_); }

 private:
  bool open_sequence(SequenceSource& source);
  bool make_room();
  std::vector<int32_t> drafted_tokens() const;
  void choose(std::span<const float> logits);
  bool look_at_grammar();
  void settle(const TokenChoice& choice);

  GenerationRequest request_;
  ContextPlan plan_;
  int64_t vocab_size_;
  Sampler sampler_;
  StoppingCriteria stopping_;
  TextStreamer text_;
  std::unique_ptr<Drafter> drafter_;
  ConstraintThread& constraint_thread_;
  std::shared_ptr<GrammarPlace> place_;  // with a grammar, from the first plan() on
  bool place_known_ = true;              // it is ready, and that it is not the end was seen
  RequestClock clock_;
  std::unique_ptr<TokenSequence> sequence_;
  std::vector<int32_t> history_;  // what the model sees, the newest token included
  std::vector<int32_t> reading_;  // what is planned: history not yet read, then drafted tokens
  size_t prompt_tokens_ = 0;
  PromptLogprobs prompt_logprobs_;
  bool choosing_ = false;  // the prompt has been read once
  bool whole_ = false;     // the pass ends with the newest token: a choice follows
  size_t drafts_ = 0;      // of reading_
  GenerationResult result_;
};

}  // namespace llm
