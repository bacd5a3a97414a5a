#include "serving/http/api/pace_completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/answer_size.h"
#include "serving/http/api/choices.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"

namespace llm::api {
namespace {

using http::Field;
using http::FieldReader;
using http::HttpError;
using nlohmann::json;

constexpr std::array kShared = {"max_new_tokens",
                                "max_tokens",
                                "min_new_tokens",
                                "ignore_eos",
                                "repetition_penalty",
                                "frequency_penalty",
                                "do_sample",
                                "temperature",
                                "top_k",
                                "top_p",
                                "min_p",
                                "seed",
                                "stop"};
constexpr std::array kFrame = {"model", "prompt", "stream", "gen_config", "mlperf_mode", "user"};

bool is_among(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct PaceJob {
  std::string id, model;
  bool as_ids = false, several = false;

  OrderedJson content(const std::string& text, const std::vector<int32_t>& ids) const {
    return as_ids ? OrderedJson(ids) : OrderedJson(text);
  }
  OrderedJson choice(size_t index, OrderedJson members) const {
    OrderedJson choice = OrderedJson::object();
    if (several) choice["index"] = index;
    choice.update(members);
    return choice;
  }
};

/// What gen_config and the fields beside it ask for, as one object with this server's names.
json generation_of(const FieldReader& body, const std::vector<Field>& table,
                   const FieldReader& given) {
  for (const Field& field : table) {
    const bool other = !is_among(kFrame, field.name) && !is_among(kShared, field.name);
    if (other && body.has(field.name))
      body.refuse(field.name, field.name + " has no place beside gen_config or mlperf_mode");
  }
  json asked = json::object();
  for (const char* name : kShared) {
    if (body.has(name) && given.has(name))
      given.refuse(name, fmt::format("{} is given beside gen_config, too", name));
    if (const json* value = given.has(name) ? given.find(name) : body.find(name))
      asked[name] = *value;
  }
  if (const json* stops = given.find("stop_strings")) {
    if (asked.contains("stop"))
      given.refuse("stop_strings", "stop_strings is another name of stop; give one of them");
    asked["stop"] = *stops;
  }
  return asked;
}

ChoiceCallbacks streamed(const std::shared_ptr<PaceJob>& job,
                         const std::shared_ptr<http::SseStream>& sse, bool beams) {
  const auto send = [=](size_t index, OrderedJson choice) {
    return sse->event(
        dumped({{"request_id", job->id},
                {"choices", OrderedJson::array({job->choice(index, std::move(choice))})}}));
  };
  const auto send_content = [=](size_t index, std::string_view text,
                                const std::vector<int32_t>& ids) {
    if (job->as_ids ? ids.empty() : text.empty()) return !sse->reply().gone();
    return send(index, {{"delta", {{"content", job->content(std::string(text), ids)}}}});
  };
  ChoiceCallbacks callbacks;
  callbacks.start = [sse] { return sse->begin(); };
  callbacks.on_token = [=](size_t index, const TokenEvent& event) {
    if (beams) return !sse->reply().gone();
    return send_content(index, event.text,
                        event.id < 0 ? std::vector<int32_t>{} : std::vector<int32_t>{event.id});
  };
  callbacks.on_end = [=](size_t index, const GenerationResult& result) {
    if (result.finish_reason == FinishReason::error ||
        result.finish_reason == FinishReason::cancelled)
      return;
    if (beams) send_content(index, result.text, result.token_ids);
    send(index, {{"delta", {{"content", job->content("", {})}}},
                 {"finish_reason", openai_finish_reason(result.finish_reason)}});
  };
  callbacks.done = [sse](std::vector<GenerationResult>&&) { sse->done(); };
  callbacks.fail = [sse](const HttpError& error) { sse->fail(error); };
  return callbacks;
}

std::string whole_json(const PaceJob& job, const std::vector<GenerationResult>& results) {
  std::vector<std::string> choices;
  for (const GenerationResult& result : results)
    choices.push_back(dumped(job.choice(
        choices.size(),
        {{"message",
          {{"role", "assistant"}, {"content", job.content(result.text, result.token_ids)}}},
         {"finish_reason", openai_finish_reason(result.finish_reason)}})));
  return with_choices({{"request_id", job.id}, {"model", job.model}}, choices, {});
}

}  // namespace

std::vector<Field> pace_fields(int64_t context) {
  std::vector<Field> fields;
  for (Field& field : generation_fields(context)) {
    if (is_among(kShared, field.name)) fields.push_back(std::move(field));
  }
  fields.push_back(http::any_field("stop_strings"));
  fields.push_back(http::any_field("num_beams"));
  return fields;
}

bool asks_for_pace_shape(const FieldReader& body) {
  return body.has("gen_config") || body.flag("mlperf_mode", false);
}

void answer_pace_completions(const ServedModel& model, const AnswerOptions& options,
                             const http::Request& request, const json& document,
                             const http::ReplyPtr& reply) {
  const auto table = route_body("/v1/completions", model.most_new_tokens()).fields;
  const FieldReader body(document, table);
  const auto own_table = pace_fields(model.most_new_tokens());
  const json none = json::object();
  const json* config = body.find("gen_config");
  const FieldReader given(config != nullptr ? *config : none, own_table, "gen_config");
  if (given.has("num_beams"))
    given.refuse("num_beams", "num_beams is not taken here; OpenAI's shape of this route has it");
  for (const std::string& name : given.unknown())
    model.observer().unknown_field(given.path_of(name));

  const json asked = generation_of(body, table, given);
  GenerationFields fields =
      read_generation(FieldReader(asked, table, config != nullptr ? "gen_config" : ""), model);
  const AskedModel named = asked_model(body, model);
  const auto prompts = read_prompts(model, body.require("prompt"), "prompt");
  bound_answer(fields, prompts, model);
  const ChoicePlan plan{freeze_for(model, fields.config), named.adapter, nullptr};
  std::vector<GenerationRequest> requests;
  for (const auto& prompt : prompts) {
    check_prompt_length(model, prompt.size(), plan.config.max_new_tokens() > 0, "prompt");
    requests.push_back(choice_request(model, plan, prompt, 0));
  }
  const auto job = std::make_shared<PaceJob>(PaceJob{.id = request.id,
                                                     .model = named.name,
                                                     .as_ids = body.flag("mlperf_mode", false),
                                                     .several = prompts.size() > 1});
  answer_choices(
      model, reply, std::move(requests), body.flag("stream", false),
      {[job, beams = fields.beams()](const auto& sse) { return streamed(job, sse, beams); },
       [job](const auto& results) { return whole_json(*job, results); }},
      options);
}

}  // namespace llm::api
