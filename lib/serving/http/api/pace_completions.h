// POST /v1/completions in the shape of AMD PACE's router.
//
//   {"model", "prompt", "stream", "gen_config": {"max_new_tokens", "temperature", ...},
//    "mlperf_mode"}
// is answered by {"request_id", "model", "choices": [{"message": {"role", "content"},
// "finish_reason"}]}, streamed by {"request_id", "choices": [{"delta": {"content"}}]} with a
// finish_reason in the last event of a choice. A request has this shape where gen_config is there
// or mlperf_mode is true, which gives the content as token ids instead of text. Where there are
// several prompts, a choice has the index of its own.
//
// gen_config has the names of PACE's sampling config, and max_tokens and stop for max_new_tokens
// and stop_strings; num_beams is refused, what else is there is counted as unknown fields are. The
// same fields may stand beside it, each in one place only; OpenAI's other fields are refused there.
// What is not given is the server's default.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "serving/http/api/answer_options.h"
#include "serving/http/api/served_model.h"
#include "serving/http/json_body.h"
#include "serving/http/reply.h"
#include "serving/http/request.h"

namespace llm::api {

/// Rows of gen_config; `context` bounds the numbers of tokens.
std::vector<http::Field> pace_fields(int64_t context);

/// Of a body of /v1/completions.
bool asks_for_pace_shape(const http::FieldReader& body);

/// `document` is the body, which has been read by the route's table.
void answer_pace_completions(const ServedModel& model, const AnswerOptions& options,
                             const http::Request& request, const nlohmann::json& document,
                             const http::ReplyPtr& reply);

}  // namespace llm::api
