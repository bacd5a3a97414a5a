// POST /v1/chat/completions, as OpenAI's clients know it: messages by the model's template,
// structured answers, several choices, streaming.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "serving/http/api/completions.h"

namespace llm::api {

void answer_chat(const ServedModel& model, const AnswerOptions& options,
                 const http::Request& request, const http::ReplyPtr& reply);

/// Messages of a body, checked: roles, contents (text parts joined). Throws HttpError 400.
nlohmann::ordered_json read_messages(const nlohmann::ordered_json& given);

}  // namespace llm::api
