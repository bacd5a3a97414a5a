// Log probabilities of a prompt's own tokens, noted as passes read it: of every token but the
// first, under the raw distribution.
//
// Only rows that a pass computes can be noted, so a prompt whose log probabilities are still wanted
// is read from its first token on (no shared beginning) with the logits of all places. It may be
// read in any number of pieces, and again after a preemption. Belongs to one Generation.
#pragma once

#include <cstdint>
#include <span>

#include "serving/decoder.h"

namespace llm {

class PromptLogprobs {
 public:
  /// tokens: of the prompt as it is read.
  PromptLogprobs(const GenerationConfig& config, size_t tokens)
      : wanted_(config.return_input_logprobs), top_(config.top_logprobs), tokens_(tokens) {}

  /// Some are wanted and not yet noted.
  bool pending() const { return wanted_ && noted_ < tokens_; }
  /// logits: a row for each of the places of `history` from `first` on, V values each. Adds to
  /// input_logprobs and input_top_logprobs of the result.
  void note(std::span<const float> logits, size_t vocab_size, size_t first,
            std::span<const int32_t> history, GenerationResult& result);

 private:
  bool wanted_;
  int64_t top_;
  size_t tokens_, noted_ = 1;  // the first token has none
};

}  // namespace llm
