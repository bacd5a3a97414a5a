// POST /v1/completions, as OpenAI, vLLM and lm-eval know it.
//
// prompt: a text, texts, ids or lists of ids; choice index = prompt_i * n + k. echo with logprobs
// gives the prompt's log probabilities, which loglikelihood evaluations over HTTP are made of
// (max_tokens 0 asks for nothing else).
#pragma once

#include "serving/http/api/answer_options.h"
#include "serving/http/api/served_model.h"
#include "serving/http/reply.h"
#include "serving/http/request.h"

namespace llm::api {

void answer_completions(const ServedModel& model, const AnswerOptions& options,
                        const http::Request& request, const http::ReplyPtr& reply);

}  // namespace llm::api
