// POST /v1/completions, as OpenAI, vLLM and lm-eval know it.
//
// prompt: a text, texts, ids or lists of ids; choice index = prompt_i * n + k. echo with logprobs
// gives the prompt's log probabilities, which loglikelihood evaluations over HTTP are made of
// (max_tokens 0 asks for nothing else).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "serving/http/api/answer_options.h"
#include "serving/http/api/served_model.h"
#include "serving/http/reply.h"
#include "serving/http/request.h"

namespace llm::api {

inline constexpr size_t kMostPrompts = 256;  // of one request

void answer_completions(const ServedModel& model, const AnswerOptions& options,
                        const http::Request& request, const http::ReplyPtr& reply);

/// The prompts of a body's field: text or ids, one or several.
std::vector<std::vector<int32_t>> read_prompts(const ServedModel& model,
                                               const nlohmann::json& given,
                                               const std::string& param);

}  // namespace llm::api
