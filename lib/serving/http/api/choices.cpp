#include "serving/http/api/choices.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>

#include "serving/http/http_error.h"

namespace llm::api {
namespace {

using http::HttpError;

constexpr double kRetrySeconds = 2;

using Clock = std::chrono::steady_clock;

struct Running {
  Running(const ServedModel& served, http::ReplyPtr to, ChoiceCallbacks told)
      : model(served), reply(std::move(to)), callbacks(std::move(told)) {}

  const ServedModel& model;
  http::ReplyPtr reply;
  ChoiceCallbacks callbacks;
  std::vector<GenerationResult> results;
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> left_early{false};  // the stream could not begin: nobody wants the results
  std::atomic<size_t> left{0};
  AnswerOptions options;
  std::vector<size_t> prompt_tokens;
  std::vector<size_t> tokens_told;  // to the observer
  std::vector<Clock::time_point> last_token;
  std::mutex starting;  // held until start has returned: no callback comes before

  std::atomic<bool> begun{false};  // a token is there

  void wait_for_start() { const std::lock_guard guard(starting); }
  void tell(RequestStatus status, std::string_view message) const {
    if (options.progress) options.progress(status, message);
  }

  bool token(size_t index, const TokenEvent& event) {
    wait_for_start();
    const auto now = Clock::now();
    Clock::time_point& last = last_token[index];
    if (event.id >= 0) {
      model.observer().token();
      ++tokens_told[index];
      if (last != Clock::time_point())
        model.observer().between_tokens(std::chrono::duration<double>(now - last).count());
    }
    last = now;
    if (!begun.exchange(true)) tell(RequestStatus::running, "its text has begun");
    if (left_early || !callbacks.on_token || callbacks.on_token(index, event)) return true;
    cancelled->store(true);
    return false;
  }

  void end(size_t index, GenerationResult&& result) {
    wait_for_start();
    model.observer().ended(result, prompt_tokens[index], tokens_told[index]);
    if (callbacks.on_end && !left_early) callbacks.on_end(index, result);
    results[index] = std::move(result);
    if (--left > 0 || left_early) return;
    for (const GenerationResult& one : results) {
      if (one.finish_reason == FinishReason::error)
        return fail(RequestStatus::failed, error_of(one.error));
      if (one.finish_reason == FinishReason::cancelled) return fail_cancelled();
    }
    tell(RequestStatus::completed, "complete");
    callbacks.done(std::move(results));
  }

  /// A grammar that reaches its limits while it runs is the request's fault, and would be again.
  static HttpError error_of(const std::string& why) {
    if (why.starts_with("grammar: ")) return HttpError(400, "unsupported_schema", why);
    return HttpError(500, "server_error", why);
  }

  void fail(RequestStatus status, const HttpError& error) const {
    tell(status, error.message());
    callbacks.fail(error);
  }

  void fail_cancelled() const {
    if (reply->gone()) return tell(RequestStatus::cancelled, "the client left");
    const bool late = model.options().request_timeout.count() > 0 && !cancelled->load();
    fail(RequestStatus::cancelled, ended_early(model, late));
  }
};

void submit_all(const ServedModel& model, std::vector<EngineThread::Work> together) {
  bool taken = false;
  try {
    taken = model.engine().submit_together(std::move(together));
  } catch (const Error& error) {
    throw HttpError(400, "invalid_value", error.message());
  }
  if (taken) return;
  throw queue_full(model);
}

}  // namespace

HttpError queue_full(const ServedModel& model) {
  return http::too_many_requests(fmt::format("queue is full ({}); retry after {} s",
                                             model.options().queue_size, kRetrySeconds),
                                 kRetrySeconds);
}

HttpError ended_early(const ServedModel& model, bool late) {
  const std::chrono::duration<double> seconds = model.options().request_timeout;
  return HttpError(503, "unavailable",
                   late ? fmt::format("the request took longer than {:g} s", seconds.count())
                        : "the request was cancelled");
}

GenerationRequest choice_request(const ServedModel& model, const ChoicePlan& plan,
                                 std::vector<int32_t> prompt, int64_t sequence) {
  GenerationRequest request;
  request.prompt_ids = std::move(prompt);
  request.config = plan.config;
  request.adapter = plan.adapter;
  request.sequence = sequence;
  request.token_bytes = [&model](int32_t id) { return model.token_bytes(id); };
  request.constraint = plan.constraint;
  return request;
}

ChoiceCallbacks whole_answer(
    const http::ReplyPtr& reply, std::function<void(const std::string&)> keep,
    std::function<std::string(const std::vector<GenerationResult>&)> text) {
  ChoiceCallbacks callbacks;
  callbacks.done = [reply, keep = std::move(keep),
                    text = std::move(text)](std::vector<GenerationResult>&& results) {
    const std::string json = text(results);
    if (keep) keep(json);
    reply->send_json(200, json);
  };
  callbacks.fail = [reply](const HttpError& error) { reply->send_error(error); };
  return callbacks;
}

void answer_choices(const ServedModel& model, const http::ReplyPtr& reply,
                    std::vector<GenerationRequest> requests, bool stream, const AnswerForms& forms,
                    const AnswerOptions& options) {
  const bool one_answer = requests[0].config.greedy();
  ChoiceCallbacks callbacks =
      stream ? forms.streamed(std::make_shared<http::SseStream>(reply, options.ping))
             : whole_answer(reply, one_answer ? options.keep : nullptr, forms.whole);
  run_choices(model, reply, std::move(requests), std::move(callbacks), options);
}

void run_choices(const ServedModel& model, const http::ReplyPtr& reply,
                 std::vector<GenerationRequest> requests, ChoiceCallbacks callbacks,
                 const AnswerOptions& options) {
  const auto running = std::make_shared<Running>(model, reply, std::move(callbacks));
  running->results.resize(requests.size());
  running->left = requests.size();
  running->tokens_told.resize(requests.size());
  running->last_token.resize(requests.size());
  for (const GenerationRequest& request : requests)
    running->prompt_tokens.push_back(request.prompt_ids.size());
  running->options = options;
  reply->on_close([cancelled = running->cancelled] { cancelled->store(true); });
  const auto timeout = model.options().request_timeout;
  std::vector<EngineThread::Work> together;
  for (size_t i = 0; i < requests.size(); ++i) {
    GenerationRequest& request = requests[i];
    request.cancelled = running->cancelled;
    if (timeout.count() > 0) request.deadline = Clock::now() + timeout;
    request.is_held = [reply] { return reply->full(); };
    request.on_token = [running, i](const TokenEvent& event) { return running->token(i, event); };
    together.emplace_back(std::move(request), [running, i](GenerationResult&& result) {
      running->end(i, std::move(result));
    });
  }
  const std::lock_guard guard(running->starting);
  submit_all(model, std::move(together));
  if (running->callbacks.start && !running->callbacks.start()) {
    running->left_early = true;
    running->cancelled->store(true);
    running->tell(RequestStatus::cancelled, "the client left");
  }
}

}  // namespace llm::api
