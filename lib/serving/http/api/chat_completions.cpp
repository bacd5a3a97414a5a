#include "serving/http/api/chat_completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/answer_size.h"
#include "serving/http/api/chat_messages.h"
#include "serving/http/api/chat_tools.h"
#include "serving/http/api/choices.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using nlohmann::json;

struct ChatJob {
  const ServedModel& model;
  AskedModel asked;
  std::string id;
  std::time_t created = std::time(nullptr);
  GenerationFields fields;
  bool logprobs = false;
  std::vector<int32_t> prompt;
  ChatTools tools;

  OrderedJson head(const char* object) const {
    return {{"id", id}, {"object", object}, {"created", created}, {"model", asked.name}};
  }
  OrderedJson logprobs_of(const GenerationResult& result) const {
    if (!logprobs) return nullptr;
    OrderedJson content = OrderedJson::array();
    for (size_t i = 0; i < std::min(result.token_ids.size(), result.logprobs.size()); ++i)
      content.push_back(chat_logprob(model, result.token_ids[i], result.logprobs[i],
                                     i < result.top_logprobs.size()
                                         ? std::span<const TokenLogprob>(result.top_logprobs[i])
                                         : std::span<const TokenLogprob>{}));
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }
};

/// The reason, unless the text turned out to call functions.
OrderedJson finish_reason(const GenerationResult& result, bool called) {
  const bool ended = result.finish_reason == FinishReason::stop ||
                     result.finish_reason == FinishReason::stop_string;
  return called && ended ? "tool_calls" : openai_finish_reason(result.finish_reason);
}

OrderedJson choice_json(const ChatJob& job, size_t index, const GenerationResult& result) {
  OrderedJson message = {{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
  bool called = false;
  if (job.tools.offered()) {
    const auto parser = job.tools.parser();
    ToolCallDelta found = parser->feed(result.text);
    const ToolCallDelta rest = parser->finish();
    found.content += rest.content;
    found.calls.insert(found.calls.end(), rest.calls.begin(), rest.calls.end());
    called = !found.calls.empty();
    message["content"] =
        called && found.content.empty() ? OrderedJson(nullptr) : OrderedJson(found.content);
    if (called)
      message["tool_calls"] =
          tool_calls_json(found.calls, fmt::format("{}_{}", job.id, index), 0, false);
  }
  return {{"index", index},
          {"message", std::move(message)},
          {"logprobs", job.logprobs_of(result)},
          {"finish_reason", finish_reason(result, called)}};
}

std::string whole_json(const ChatJob& job, const std::vector<GenerationResult>& results) {
  std::vector<std::string> choices;
  for (const GenerationResult& result : results) {
    for (const GenerationResult* text : texts_of(result))
      choices.push_back(dumped(choice_json(job, choices.size(), *text)));
  }
  return with_choices(job.head("chat.completion"), choices,
                      {{"usage", usage_of(results, {job.prompt.size()}).json()},
                       {"timings", timings_json(results[0], job.prompt.size())}});
}

/// A stream of chunks. Without beams every result is a choice; texts of beams come whole, when
/// their search has ended.
class ChatStream {
 public:
  ChatStream(std::shared_ptr<ChatJob> job, std::shared_ptr<http::SseStream> sse)
      : job_(std::move(job)), sse_(std::move(sse)), choices_(static_cast<size_t>(job_->fields.n)) {
    for (Choice& one : choices_)
      one.parser = job_->tools.offered() ? job_->tools.parser() : nullptr;
  }

  bool start() {
    if (!sse_->begin()) return false;
    for (size_t i = 0; !job_->fields.beams() && i < choices_.size(); ++i) send_role(i);
    return true;
  }

  bool token(size_t index, const TokenEvent& event) {
    if (job_->fields.beams()) return !sse_->reply().gone();
    OrderedJson logprobs = nullptr;
    if (job_->logprobs && event.id >= 0)
      logprobs = {{"content", OrderedJson::array({chat_logprob(job_->model, event.id, event.logprob,
                                                               event.top)})}};
    return send_text(index, event.text, std::move(logprobs));
  }

  void end(size_t index, const GenerationResult& result) {
    if (result.finish_reason == FinishReason::error ||
        result.finish_reason == FinishReason::cancelled)
      return;
    if (!job_->fields.beams()) return send_end(index, result);
    for (const GenerationResult* text : texts_of(result)) {
      send_role(index);
      send_text(index, text->text, job_->logprobs_of(*text));
      send_end(index++, *text);
    }
  }

  void done(const std::vector<GenerationResult>& results) {
    if (job_->fields.include_usage) {
      OrderedJson last = job_->head(kChunk);
      last["choices"] = OrderedJson::array();
      last["usage"] = usage_of(results, {job_->prompt.size()}).json();
      sse_->event(dumped(last));
    }
    sse_->done();
  }

 private:
  static constexpr const char* kChunk = "chat.completion.chunk";
  struct Choice {
    std::unique_ptr<ToolCallParser> parser;  // null: no functions are offered
    size_t calls = 0;
  };

  void send_role(size_t index) {
    const OrderedJson none = job_->tools.demanded() ? OrderedJson(nullptr) : OrderedJson("");
    send(index, {{"role", "assistant"}, {"content", none}}, nullptr, nullptr);
  }
  bool send_text(size_t index, std::string_view text, OrderedJson logprobs) {
    const auto& parser = choices_[index].parser;
    return send_piece(index, parser ? parser->feed(text) : ToolCallDelta{std::string(text), {}},
                      std::move(logprobs));
  }
  /// What has become certain; true while the client is there.
  bool send_piece(size_t index, const ToolCallDelta& piece, OrderedJson logprobs) {
    Choice& own = choices_[index];
    OrderedJson delta = OrderedJson::object();
    if (!piece.content.empty() || !logprobs.is_null()) delta["content"] = piece.content;
    if (!piece.calls.empty())
      delta["tool_calls"] =
          tool_calls_json(piece.calls, fmt::format("{}_{}", job_->id, index), own.calls, true);
    own.calls += piece.calls.size();
    if (delta.empty()) return !sse_->reply().gone();
    return send(index, std::move(delta), std::move(logprobs), nullptr);
  }
  void send_end(size_t index, const GenerationResult& text) {
    Choice& own = choices_[index];
    if (own.parser) send_piece(index, own.parser->finish(), nullptr);
    send(index, OrderedJson::object(), nullptr, finish_reason(text, own.calls > 0));
  }
  bool send(size_t index, OrderedJson delta, OrderedJson logprobs, OrderedJson reason) {
    OrderedJson chunk = job_->head(kChunk);
    chunk["choices"] = OrderedJson::array({{{"index", index},
                                            {"delta", std::move(delta)},
                                            {"logprobs", std::move(logprobs)},
                                            {"finish_reason", std::move(reason)}}});
    if (job_->fields.include_usage) chunk["usage"] = nullptr;
    return sse_->event(dumped(chunk));
  }

  std::shared_ptr<ChatJob> job_;
  std::shared_ptr<http::SseStream> sse_;
  std::vector<Choice> choices_;
};

ChoiceCallbacks streamed(const std::shared_ptr<ChatJob>& job,
                         const std::shared_ptr<http::SseStream>& sse) {
  return callbacks_of(std::make_shared<ChatStream>(job, sse), sse);
}

std::shared_ptr<ChatJob> read_job(const ServedModel& model, const http::FieldReader& body,
                                  const OrderedJson& ordered, const std::string& id) {
  auto job = std::make_shared<ChatJob>(ChatJob{.model = model,
                                               .asked = asked_model(body, model),
                                               .id = "chatcmpl-" + id,
                                               .fields = read_generation(body, model),
                                               .prompt = {},
                                               .tools = {}});
  body.require("messages");
  const OrderedJson messages = read_messages(ordered["messages"]);
  job->tools = read_chat_tools(ordered, model);
  job->prompt = model.encode_chat(
      messages, job->tools.offered() ? ordered["tools"] : OrderedJson(nullptr), true);
  check_prompt_length(model, job->prompt.size(), true, "messages");
  GenerationConfig& config = job->fields.config;
  // A chat answer goes on until the model ends it.
  if (!job->fields.max_tokens_given && model.max_model_len() > 0) {
    const int64_t room = model.max_model_len() - std::ssize(job->prompt);
    config.max_new_tokens =
        model.cuts_prompts() ? std::max(room, config.max_new_tokens.value_or(1)) : room;
  }
  job->logprobs = body.flag("logprobs", false);
  config.return_logprobs = job->logprobs;
  config.top_logprobs = body.whole("top_logprobs", 0);
  if (config.top_logprobs > 0 && !job->logprobs)
    body.refuse("top_logprobs", "top_logprobs needs logprobs: true");
  bound_answer(job->fields, {job->prompt}, model);
  return job;
}

}  // namespace

void answer_chat(const ServedModel& model, const AnswerOptions& options,
                 const http::Request& request, const http::ReplyPtr& reply) {
  const auto table = route_body("/v1/chat/completions", model.most_new_tokens()).fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, table);
  heed_unknown_fields(model, "/v1/chat/completions", body);
  const OrderedJson ordered = ordered_body(request);
  const auto job = read_job(model, body, ordered, request.id);
  auto constraint = requested_constraint(body, ordered, model);
  if (auto calls = job->tools.grammar()) {
    if (constraint)
      body.refuse("response_format", "response_format has no meaning where a call is required");
    constraint = model.constraint(calls);
  }
  const ChoicePlan plan{freeze_for(model, job->fields.config), job->asked.adapter,
                        std::move(constraint)};
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < job->fields.searches(); ++i) {
    requests.push_back(choice_request(model, plan, job->prompt, i));
    requests.back().is_complete = job->tools.completion();
  }
  answer_choices(model, reply, std::move(requests), job->fields.stream,
                 {[job](const auto& sse) { return streamed(job, sse); },
                  [job](const auto& results) { return whole_json(*job, results); }},
                 options);
}

}  // namespace llm::api
