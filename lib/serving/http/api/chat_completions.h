// POST /v1/chat/completions, as OpenAI's clients know it: messages by the model's template,
// structured answers, several choices, streaming.
#pragma once

#include "serving/http/api/completions.h"

namespace llm::api {

void answer_chat(const ServedModel& model, const AnswerOptions& options,
                 const http::Request& request, const http::ReplyPtr& reply);

}  // namespace llm::api
