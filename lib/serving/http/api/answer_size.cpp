#include "serving/http/api/answer_size.h"

#include <fmt/format.h>

#include <algorithm>

namespace llm::api {
namespace {

struct AnswerSize {
  int64_t tokens = 0, logprobs = 0;
  bool fits() const { return tokens <= kMostAnswerTokens && logprobs <= kMostAnswerLogprobs; }
};

/// The most that comes of it with so many new tokens.
AnswerSize size_with(int64_t new_tokens, const GenerationFields& fields,
                     const std::vector<std::vector<int32_t>>& prompts, const ServedModel& model) {
  const GenerationConfig& config = fields.config;
  const bool ends_with_context = model.max_model_len() > 0 && !model.cuts_prompts();
  const int64_t each = 1 + config.top_logprobs;
  AnswerSize size;
  for (const auto& prompt : prompts) {
    const int64_t read = std::ssize(prompt);
    const int64_t written =
        ends_with_context ? std::min(new_tokens, std::max<int64_t>(0, model.max_model_len() - read))
                          : new_tokens;
    size.tokens += (read + written) * std::max(fields.best_of, config.num_beams);
    size.logprobs += (config.return_input_logprobs ? read * each * fields.n : 0) +
                     (config.return_logprobs ? written * each * fields.best_of : 0);
  }
  return size;
}

}  // namespace

void bound_answer(GenerationFields& fields, const std::vector<std::vector<int32_t>>& prompts,
                  const ServedModel& model) {
  int64_t wanted = *fields.config.max_new_tokens;
  const auto size = [&](int64_t tokens) { return size_with(tokens, fields, prompts, model); };
  if (size(wanted).fits()) return;
  if (!fields.max_tokens_given) {
    int64_t low = std::min<int64_t>(wanted, 1);
    while (low < wanted) {  // the most that fits, or one
      const int64_t middle = low + (wanted - low + 1) / 2;
      (size(middle).fits() ? low : wanted) = size(middle).fits() ? middle : middle - 1;
    }
    fields.config.max_new_tokens = wanted;
    if (size(wanted).fits()) return;
  }
  const AnswerSize most = size(wanted);
  if (most.tokens > kMostAnswerTokens)
    throw http::HttpError(
        400, "out_of_range",
        fmt::format("the choices could hold {} tokens with their prompts; one request may ask for "
                    "{}: fewer prompts, max_tokens, n or num_beams",
                    most.tokens, kMostAnswerTokens),
        "max_tokens");
  throw http::HttpError(
      400, "out_of_range",
      fmt::format("the answer could hold {} log probabilities; one request may ask for {}: fewer "
                  "prompts, max_tokens, n or logprobs",
                  most.logprobs, kMostAnswerLogprobs),
      "logprobs");
}

}  // namespace llm::api
