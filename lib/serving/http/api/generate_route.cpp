// POST /generate and /predict.
#include <cmath>
#include <memory>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/answer_size.h"
#include "serving/http/api/choices.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using nlohmann::json;

/// Their own names for lengths and ends: stop_string and the rest are told apart here.
/// `each`: choices that a result stands for, n of them with beams.
OrderedJson generate_answer(const std::string& model, const std::string& id,
                            const std::vector<size_t>& prompt_tokens, size_t each,
                            const std::vector<GenerationResult>& results) {
  OrderedJson choices = OrderedJson::array();
  for (size_t i = 0; i < results.size(); ++i) {
    size_t index = i * each;
    for (const GenerationResult* text : texts_of(results[i]))
      choices.push_back({{"index", index++},
                         {"text", text->text},
                         {"finish_reason", finish_reason_name(text->finish_reason)}});
  }
  const Usage usage = usage_of(results, prompt_tokens);
  const GenerationTiming& timing = results[0].timing;
  return {
      {"id", id},
      {"model", model},
      {"generated_text", results[0].text},
      {"choices", std::move(choices)},
      {"usage",
       {{"prompt_tokens", usage.prompt_tokens}, {"completion_tokens", usage.completion_tokens}}},
      {"timing",
       {{"ttft_ms", timing.ttft_ms},
        {"tpot_ms", tpot_json(results[0])},
        {"total_ms", timing.total_ms},
        {"tokens_per_second", timing.tokens_per_second}}},
      {"processing_time", timing.total_ms / 1e3}};
}

void check_mode(const http::FieldReader& body) {
  if (const auto mode = body.text("mode"); mode && *mode != "ar")
    body.refuse("mode", "mode: this model writes token after token; only ar is served");
}

}  // namespace

void answer_generate(const ServedModel& model, const AnswerOptions& options,
                     const http::Request& request, const http::ReplyPtr& reply) {
  const auto table = route_body("/generate", model.most_new_tokens()).fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, table);
  heed_unknown_fields(model, "/generate", body);
  check_mode(body);
  const std::string adapter = body.text("adapter", "");
  const AskedModel asked =
      adapter.empty() ? asked_model(body, model) : find_model(model, adapter, "adapter");
  if (body.has("inputs") && body.has("prompt"))
    body.refuse("inputs", "inputs is another name for prompt; give one of them");
  const std::string param = body.has("inputs") && !body.has("prompt") ? "inputs" : "prompt";
  GenerationFields fields = read_generation(body, model);
  const auto prompts = read_prompts(model, body.require(param), param);
  bound_answer(fields, prompts, model);
  const ChoicePlan plan{freeze_for(model, fields.config), asked.adapter,
                        requested_constraint(body, ordered_body(request), model)};
  std::vector<GenerationRequest> requests;
  std::vector<size_t> prompt_tokens;
  for (const auto& prompt : prompts) {
    check_prompt_length(model, prompt.size(), plan.config.max_new_tokens() > 0, param);
    prompt_tokens.push_back(prompt.size());
    for (int64_t i = 0; i < fields.searches(); ++i) {
      requests.push_back(choice_request(model, plan, prompt, i));
    }
  }
  const size_t each = fields.beams() ? static_cast<size_t>(fields.n) : 1;
  const auto answer_text = [=, name = asked.name, id = request.id](const auto& results) {
    return dumped(generate_answer(name, id, prompt_tokens, each, results));
  };
  const auto streamed = [answer_text, each,
                         beams = fields.beams()](const std::shared_ptr<http::SseStream>& sse) {
    ChoiceCallbacks callbacks;
    const auto send = [sse](size_t index, std::string_view text) {
      return text.empty() ? !sse->reply().gone()
                          : sse->event(dumped({{"index", index}, {"text", text}}));
    };
    callbacks.start = [sse] { return sse->begin(); };
    callbacks.on_token = [send, beams](size_t index, const TokenEvent& event) {
      return send(index, beams ? "" : event.text);  // texts of beams come when they are whole
    };
    callbacks.on_end = [send, beams, each](size_t index, const GenerationResult& result) {
      const auto texts = texts_of(result);
      for (size_t k = 0; beams && k < texts.size(); ++k) send(index * each + k, texts[k]->text);
    };
    callbacks.done = [=](std::vector<GenerationResult>&& results) {
      sse->event(answer_text(results));
      sse->done();
    };
    callbacks.fail = [sse](const HttpError& error) { sse->fail(error); };
    return callbacks;
  };
  answer_choices(model, reply, std::move(requests), fields.stream, {streamed, answer_text},
                 options);
}

void answer_predict(const ServedModel& model, const AnswerOptions& options,
                    const http::Request& request, const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/predict").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/predict", body);
  const AskedModel asked = asked_model(body, model);
  const std::string text = body.text("text", "");
  if (!body.has("text")) http::missing_field("text");
  GenerationConfig config = model.options().defaults;
  config.max_new_tokens = 1;
  config.min_new_tokens = 0;
  config.do_sample = false;
  config.num_beams = 1;
  config.stop_strings.clear();  // nothing is written that they could end
  config.return_logprobs = true;
  config.top_logprobs = body.whole("top_k", 5);
  GenerationRequest one;
  one.prompt_ids = read_prompts(model, text, "text")[0];
  check_prompt_length(model, one.prompt_ids.size(), true, "text");
  one.config = freeze_for(model, config);
  one.adapter = asked.adapter;
  std::vector<GenerationRequest> requests;
  requests.push_back(std::move(one));
  const auto ranked = [&model, text,
                       name = asked.name](const std::vector<GenerationResult>& results) {
    OrderedJson predictions = OrderedJson::array();
    for (const TokenLogprob& top : results[0].top_logprobs.at(0))
      predictions.push_back({{"rank", predictions.size() + 1},
                             {"token_id", top.id},
                             {"token", model.token_label(top.id)},
                             {"probability", std::exp(top.logprob)}});
    return dumped({{"text", text},
                   {"predictions", std::move(predictions)},
                   {"model", name},
                   {"inference_time", results[0].timing.total_ms / 1e3}});
  };
  run_choices(model, reply, std::move(requests), whole_answer(reply, nullptr, ranked), options);
}

}  // namespace llm::api
