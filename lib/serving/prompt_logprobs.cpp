#include "serving/prompt_logprobs.h"

#include "serving/sampler.h"

namespace llm {

void PromptLogprobs::note(std::span<const float> logits, size_t vocab_size, size_t first,
                          std::span<const int32_t> history, GenerationResult& result) {
  for (size_t row = 0; row * vocab_size < logits.size(); ++row) {
    const size_t place = first + row + 1;  // whose probability this row tells
    if (place != noted_ || place >= tokens_) continue;
    const auto values = logits.subspan(row * vocab_size, vocab_size);
    result.input_logprobs.push_back(log_probability(values, history[place]));
    if (top_ > 0) result.input_top_logprobs.push_back(top_log_probabilities(values, top_));
    ++noted_;
  }
}

}  // namespace llm
