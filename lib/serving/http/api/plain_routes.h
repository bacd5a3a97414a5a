// The routes beside OpenAI's two: /generate, /predict, /tokenize and what tells of the model.
#pragma once

#include "serving/http/api/completions.h"

namespace llm::api {

/// Texts to prompts, with timings; unknown fields are refused here.
void answer_generate(const ServedModel& model, const AnswerOptions& options,
                     const http::Request& request, const http::ReplyPtr& reply);
/// {text, top_k} -> the most probable next tokens with their share of the full softmax.
void answer_predict(const ServedModel& model, const AnswerOptions& options,
                    const http::Request& request, const http::ReplyPtr& reply);
/// Computed on the caller's thread, beside the engine.
void answer_embeddings(const ServedModel& model, const http::Request& request,
                       const http::ReplyPtr& reply);
void answer_embed(const ServedModel& model, const http::Request& request,
                  const http::ReplyPtr& reply);
void answer_tokenize(const ServedModel& model, const http::Request& request,
                     const http::ReplyPtr& reply);
void answer_detokenize(const ServedModel& model, const http::Request& request,
                       const http::ReplyPtr& reply);
void answer_apply_template(const ServedModel& model, const http::Request& request,
                           const http::ReplyPtr& reply);
void answer_tokenizer_info(const ServedModel& model, const http::ReplyPtr& reply);
void answer_models(const ServedModel& model, const http::ReplyPtr& reply);
void answer_model(const ServedModel& model, const http::Request& request,
                  const http::ReplyPtr& reply);
void answer_model_info(const ServedModel& model, const http::ReplyPtr& reply);
void answer_load_adapter(ServedModel& model, const http::Request& request,
                         const http::ReplyPtr& reply);
void answer_unload_adapter(ServedModel& model, const http::Request& request,
                           const http::ReplyPtr& reply);
void answer_props(const ServedModel& model, const http::ReplyPtr& reply);
/// {request_id, status, message, created_at} of one of the caller's own requests.
void answer_status(const RequestStatuses& statuses, const http::Request& request,
                   const http::ReplyPtr& reply);

}  // namespace llm::api
