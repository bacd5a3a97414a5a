// The answers of /v1/completions in OpenAI's shape: whole, or chunk by chunk.
//
// Choice k of prompt p has the index p * n + k. An echoed prompt is the one that was sent; of the
// tokens that the context policy left out of it nothing is known, so their log probability is null
// as that of its first one is. The log probabilities of a prompt are computed for its first choice
// and stand in all.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/choices.h"
#include "serving/http/api/generation_fields.h"

namespace llm::api {

/// One parsed request, kept until its answer is complete.
struct CompletionJob {
  const ServedModel& model;
  AskedModel asked;
  std::string id;
  std::time_t created = std::time(nullptr);
  GenerationFields fields;
  bool echo = false;
  std::optional<int64_t> logprobs;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> prompt_texts;  // with echo

  /// Results of one prompt.
  size_t searches() const { return static_cast<size_t>(fields.searches()); }
  std::vector<size_t> prompt_lengths() const;
};

std::string whole_completion(const CompletionJob& job,
                             const std::vector<GenerationResult>& results);

/// Texts of beams come whole, when their search has ended.
ChoiceCallbacks streamed_completion(const std::shared_ptr<CompletionJob>& job,
                                    const std::shared_ptr<http::SseStream>& sse);

}  // namespace llm::api
