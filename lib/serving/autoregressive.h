// The Decoder that writes one token after the other.
//
// Each prompt is read alone, then the sequences of a batch take their steps together; a finished
// one leaves, the next prompt takes its place. Since a step's rows do not influence each other
// (TokenModel's law) and every sequence has its own sampler, a request's result is the same alone
// and in any company, so no padding exists that could be seen.
//
// Context policy, where prompt + new tokens exceed the model's context: `error` refuses a prompt
// that leaves no room (usage error) and ends with finish reason length where the context is full;
// `truncate-left` drops the oldest prompt tokens so that all new tokens fit; `slide` goes on for
// ever: when the context is full, the newest half is read again as a fresh prompt.
#pragma once

#include <memory>

#include "serving/decoder.h"
#include "serving/token_model.h"

namespace llm {

class Autoregressive final : public Decoder {
 public:
  /// Keeps a reference to the model. `max_batch` sequences at most are in flight together.
  explicit Autoregressive(const TokenModel& model, int64_t max_batch = 8);
  std::vector<GenerationResult> generate(
      std::span<const GenerationRequest> requests) const override;

 private:
  const TokenModel& model_;
  int64_t max_batch_;
};

}  // namespace llm
