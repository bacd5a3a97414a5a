#include "serving/context_plan.h"

#include <algorithm>

#include "base/error.h"

namespace llm {

ContextPlan plan_context(const GenerationRequest& request, int64_t context_length) {
  ContextPlan plan{0, context_length, false};
  if (context_length == 0) return plan;
  const auto prompt = static_cast<int64_t>(request.prompt_ids.size());
  const std::string& policy = request.config->max_context_policy;
  if (policy == "error") {
    if (prompt > context_length ||
        (prompt == context_length && request.config.max_new_tokens() > 0)) {
      fail(Exit::usage,
           fmt::format("prompt is {} tokens; this model's context is {} with the answer", prompt,
                       context_length),
           "--max-context-policy truncate-left or slide");
    }
  } else if (policy == "truncate-left") {
    const int64_t room = std::max<int64_t>(1, context_length - request.config.max_new_tokens());
    plan.dropped = static_cast<size_t>(std::max<int64_t>(0, prompt - room));
  } else {
    plan.slides = true;
    plan.dropped = static_cast<size_t>(
        std::max<int64_t>(0, prompt - std::max<int64_t>(1, context_length - 1)));
  }
  return plan;
}

void check_request(const GenerationRequest& request, const ContextPlan& plan, int64_t vocab_size) {
  check(!request.prompt_ids.empty(), "prompt is empty: at least one token is needed");
  for (size_t i = 0; i < request.prompt_ids.size(); ++i) {
    check(request.prompt_ids[i] >= 0 && request.prompt_ids[i] < vocab_size,
          "prompt[{}] = {} is not below vocab_size {}", i, request.prompt_ids[i], vocab_size);
  }
  check(request.config->stop_strings.empty() || request.token_bytes,
        "stop strings need token_bytes");
  check(request.config->num_beams == 1 || !plan.slides,
        "num_beams: beam search cannot slide its context");
}

}  // namespace llm
