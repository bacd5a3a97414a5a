// The texts that one HTTP request asks for, run together through the engine.
//
// n choices of one prompt, or of several, are requests of their own; they are taken together, as
// one place of the queue, and end together. The client leaving or a deadline cancels them all.
// Callbacks come from the engine's thread, but start from the caller's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serving/http/api/answer_options.h"
#include "serving/http/api/served_model.h"
#include "serving/http/reply.h"
#include "serving/http/sse.h"

namespace llm::api {

struct ChoiceCallbacks {
  /// All were taken and none has begun: the place to begin a stream, so that a refusal still is an
  /// answer with its own status. False cancels all. May be empty.
  std::function<bool()> start;
  /// A new token of choice `index`; false cancels all. May be empty.
  std::function<bool(size_t index, const TokenEvent&)> on_token;
  /// A choice has ended. May be empty.
  std::function<void(size_t index, const GenerationResult&)> on_end;
  /// All have; called once, unless the client left before. Errors have been answered already.
  std::function<void(std::vector<GenerationResult>&&)> done;
  /// Something failed and there is no whole answer.
  std::function<void(const http::HttpError&)> fail;
};

/// Those of a stream of events: what `stream` does at its start, for a token, at a choice's end and
/// at its own. Failures are events too.
template <typename Stream>
ChoiceCallbacks callbacks_of(const std::shared_ptr<Stream>& stream,
                             const std::shared_ptr<http::SseStream>& sse) {
  ChoiceCallbacks callbacks;
  callbacks.start = [stream] { return stream->start(); };
  callbacks.on_token = [stream](size_t index, const TokenEvent& event) {
    return stream->token(index, event);
  };
  callbacks.on_end = [stream](size_t index, const GenerationResult& result) {
    stream->end(index, result);
  };
  callbacks.done = [stream](std::vector<GenerationResult>&& results) { stream->done(results); };
  callbacks.fail = [sse](const http::HttpError& error) { sse->fail(error); };
  return callbacks;
}

/// How all choices of a request are written.
struct ChoicePlan {
  FrozenGenerationConfig config;
  ModelAdapterPtr adapter;
  std::shared_ptr<const Constraint> constraint;
};
/// The request of choice `sequence` of a prompt.
GenerationRequest choice_request(const ServedModel& model, const ChoicePlan& plan,
                                 std::vector<int32_t> prompt, int64_t sequence);

/// Callbacks of an answer that is sent when it is whole: `text` makes its JSON, which also goes to
/// `keep` (may be empty).
ChoiceCallbacks whole_answer(const http::ReplyPtr& reply,
                             std::function<void(const std::string&)> keep,
                             std::function<std::string(const std::vector<GenerationResult>&)> text);

/// The answer of a route that writes texts: as a stream where it was asked for, else whole, and
/// kept where there can be no other. Submits all as run_choices() does.
struct AnswerForms {
  std::function<ChoiceCallbacks(const std::shared_ptr<http::SseStream>&)> streamed;
  std::function<std::string(const std::vector<GenerationResult>&)> whole;
};
void answer_choices(const ServedModel& model, const http::ReplyPtr& reply,
                    std::vector<GenerationRequest> requests, bool stream, const AnswerForms& forms,
                    const AnswerOptions& options);

/// 429 of a request that finds no place.
http::HttpError queue_full(const ServedModel& model);
/// 503 of one that ends without its answer: because it is `late`, or cancelled.
http::HttpError ended_early(const ServedModel& model, bool late);

/// Submits all, or throws HttpError (429 where the queue is full, 400 what the engine refuses).
void run_choices(const ServedModel& model, const http::ReplyPtr& reply,
                 std::vector<GenerationRequest> requests, ChoiceCallbacks callbacks,
                 const AnswerOptions& options);

}  // namespace llm::api
