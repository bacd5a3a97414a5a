// How much the answer to one request may hold, so that no body within the other limits (prompts,
// n, bytes) makes the server keep gigabytes for it.
#pragma once

#include <cstdint>
#include <vector>

#include "serving/http/api/generation_fields.h"

namespace llm::api {

/// Tokens of all choices, or of all beams where there are more, each with its prompt.
inline constexpr int64_t kMostAnswerTokens = int64_t{1} << 22;
/// Log probabilities of all choices: one for each token that has them and its alternatives.
inline constexpr int64_t kMostAnswerLogprobs = int64_t{1} << 20;

/// HttpError 400 where the answer to these prompts could hold more. A length that the request left
/// open is shortened instead, to at least one token. `fields` are complete but for that.
void bound_answer(GenerationFields& fields, const std::vector<std::vector<int32_t>>& prompts,
                  const ServedModel& model);

}  // namespace llm::api
