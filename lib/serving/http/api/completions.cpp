#include "serving/http/api/completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/choices.h"
#include "serving/http/api/fill_in_middle.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using nlohmann::json;

/// One parsed request, kept until its answer is complete.
struct CompletionJob {
  const ServedModel& model;
  AskedModel asked;
  std::string id;
  std::time_t created = std::time(nullptr);
  GenerationFields fields;
  bool echo = false;
  std::optional<int64_t> logprobs;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> prompt_texts;

  size_t per_prompt() const { return static_cast<size_t>(fields.best_of); }
  const std::vector<int32_t>& prompt_of(size_t index) const {
    return prompts[index / per_prompt()];
  }
  OrderedJson frame(OrderedJson choices) const {
    return {{"id", id},
            {"object", "text_completion"},
            {"created", created},
            {"model", asked.name},
            {"choices", std::move(choices)}};
  }
};

/// Prompt tokens and new ones of a result, for the logprobs of its choice.
std::vector<LabelledToken> labelled(const CompletionJob& job, size_t index,
                                    const GenerationResult& result) {
  std::vector<LabelledToken> tokens;
  if (job.echo) {
    const std::vector<int32_t>& prompt = job.prompt_of(index);
    tokens.push_back({prompt[0], 0, false, {}});
    for (size_t i = 1; i < prompt.size(); ++i)
      tokens.push_back({prompt[i], result.input_logprobs[i - 1], true,
                        result.input_top_logprobs.empty() ? std::vector<TokenLogprob>{}
                                                          : result.input_top_logprobs[i - 1]});
  }
  for (size_t i = 0; i < result.token_ids.size(); ++i)
    tokens.push_back(
        {result.token_ids[i], result.logprobs[i], true,
         result.top_logprobs.empty() ? std::vector<TokenLogprob>{} : result.top_logprobs[i]});
  return tokens;
}

OrderedJson choice_json(const CompletionJob& job, size_t index, size_t shown_index,
                        const GenerationResult& result) {
  OrderedJson choice = {{"index", shown_index}};
  choice["text"] = (job.echo ? job.prompt_texts[index / job.per_prompt()] : "") + result.text;
  choice["logprobs"] = job.logprobs
                           ? completion_logprobs(job.model, labelled(job, index, result), 0)
                           : OrderedJson(nullptr);
  choice["finish_reason"] = openai_finish_reason(result.finish_reason);
  return choice;
}

double mean_logprob(const GenerationResult& result) {
  if (result.logprobs.empty()) return 0;
  return std::accumulate(result.logprobs.begin(), result.logprobs.end(), 0.0) /
         static_cast<double>(result.logprobs.size());
}

/// Of each prompt's best_of texts the n with the highest mean log probability.
std::vector<size_t> chosen(const CompletionJob& job, const std::vector<GenerationResult>& results) {
  std::vector<size_t> kept;
  for (size_t prompt = 0; prompt < job.prompts.size(); ++prompt) {
    std::vector<size_t> own(job.per_prompt());
    std::iota(own.begin(), own.end(), prompt * job.per_prompt());
    if (job.fields.best_of > job.fields.n) {
      std::stable_sort(own.begin(), own.end(), [&](size_t a, size_t b) {
        return mean_logprob(results[a]) > mean_logprob(results[b]);
      });
      own.resize(static_cast<size_t>(job.fields.n));
    }
    kept.insert(kept.end(), own.begin(), own.end());
  }
  return kept;
}

std::string whole_json(const CompletionJob& job, const std::vector<GenerationResult>& results) {
  OrderedJson choices = OrderedJson::array();
  Usage usage;
  for (size_t i = 0; i < results.size(); ++i) {
    GenerationResult counted;
    counted.token_ids = results[i].token_ids;
    counted.prompt_tokens_cached = i % job.per_prompt() == 0 ? results[i].prompt_tokens_cached : 0;
    usage.add(counted, i % job.per_prompt() == 0 ? job.prompt_of(i).size() : 0);
  }
  for (const size_t i : chosen(job, results)) {
    choices.push_back(choice_json(job, i, choices.size(), results[i]));
    for (const GenerationResult& other : results[i].others)
      choices.push_back(choice_json(job, i, choices.size(), other));
  }
  OrderedJson answer = job.frame(std::move(choices));
  answer["usage"] = usage.json();
  answer["timings"] = timings_json(results[0], job.prompt_of(0).size());
  return dumped(answer);
}

/// Chunks as the tokens come.
ChoiceCallbacks streamed(const std::shared_ptr<CompletionJob>& job,
                         const std::shared_ptr<http::SseStream>& sse) {
  const auto chunk = [job](OrderedJson choice) {
    OrderedJson json = job->frame(OrderedJson::array({std::move(choice)}));
    if (job->fields.include_usage) json["usage"] = nullptr;
    return dumped(json);
  };
  const auto text_offset =
      std::make_shared<std::vector<size_t>>(job->prompts.size() * job->per_prompt(), 0);
  ChoiceCallbacks callbacks;
  callbacks.start = [=] {
    if (!sse->begin()) return false;
    for (size_t i = 0; job->echo && i < text_offset->size(); ++i)
      sse->event(chunk({{"index", i},
                        {"text", job->prompt_texts[i / job->per_prompt()]},
                        {"logprobs", nullptr},
                        {"finish_reason", nullptr}}));
    return true;
  };
  callbacks.on_token = [=](size_t index, const TokenEvent& event) {
    const bool with_logprob = job->logprobs && event.id >= 0;
    if (event.text.empty() && !with_logprob) return !sse->reply().gone();
    OrderedJson choice = {{"index", index}, {"text", event.text}, {"logprobs", nullptr}};
    if (with_logprob) {
      const LabelledToken token{
          event.id, event.logprob, true, {event.top.begin(), event.top.end()}};
      choice["logprobs"] = completion_logprobs(job->model, {token}, (*text_offset)[index]);
      (*text_offset)[index] += characters_begun(job->model.token_bytes(event.id));
    }
    choice["finish_reason"] = nullptr;
    return sse->event(chunk(std::move(choice)));
  };
  callbacks.on_end = [=](size_t index, const GenerationResult& result) {
    if (result.finish_reason == FinishReason::error ||
        result.finish_reason == FinishReason::cancelled)
      return;
    sse->event(chunk({{"index", index},
                      {"text", ""},
                      {"logprobs", nullptr},
                      {"finish_reason", openai_finish_reason(result.finish_reason)}}));
  };
  callbacks.done = [=](std::vector<GenerationResult>&& results) {
    if (job->fields.include_usage) {
      Usage usage;
      for (size_t i = 0; i < results.size(); ++i)
        usage.add(results[i], i % job->per_prompt() == 0 ? job->prompt_of(i).size() : 0);
      OrderedJson last = job->frame(OrderedJson::array());
      last["usage"] = usage.json();
      sse->event(dumped(last));
    }
    sse->done();
  };
  callbacks.fail = [=](const HttpError& error) { sse->fail(error); };
  return callbacks;
}

std::shared_ptr<CompletionJob> read_job(const ServedModel& model, const http::FieldReader& body,
                                        const std::string& id) {
  auto job = std::make_shared<CompletionJob>(CompletionJob{.model = model,
                                                           .asked = asked_model(body, model),
                                                           .id = "cmpl-" + id,
                                                           .fields = read_generation(body, model),
                                                           .logprobs = {},
                                                           .prompts = {},
                                                           .prompt_texts = {}});
  job->prompts = body.text("suffix", "").empty()
                     ? read_prompts(model, body.require("prompt"), "prompt")
                     : read_fill_in_middle(model, body);
  job->echo = body.flag("echo", false);
  if (body.has("logprobs")) job->logprobs = *body.whole("logprobs");
  if (job->fields.stream && job->echo && job->logprobs)
    body.refuse("echo", "echo with logprobs cannot be streamed");
  for (const auto& prompt : job->prompts) {
    check_prompt_length(model, prompt.size(), *job->fields.config.max_new_tokens > 0, "prompt");
    job->prompt_texts.push_back(model.tokenizer().decode(prompt));
  }
  GenerationConfig& config = job->fields.config;
  config.return_logprobs = job->logprobs.has_value() || job->fields.best_of > job->fields.n;
  config.top_logprobs = job->logprobs.value_or(0);
  config.return_input_logprobs = job->echo && job->logprobs;
  return job;
}

}  // namespace

void answer_completions(const ServedModel& model, const AnswerOptions& options,
                        const http::Request& request, const http::ReplyPtr& reply) {
  const auto table = route_body("/v1/completions", model.max_model_len()).fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, table);
  heed_unknown_fields(model, "/v1/completions", body);
  const auto job = read_job(model, body, request.id);
  const ChoicePlan plan{freeze_for(model, job->fields.config), job->asked.adapter,
                        requested_constraint(body, ordered_body(request), model)};
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < job->prompts.size() * job->per_prompt(); ++i) {
    requests.push_back(choice_request(model, plan, job->prompt_of(i),
                                      static_cast<int64_t>(i % job->per_prompt())));
  }
  answer_choices(model, reply, std::move(requests), job->fields.stream,
                 {[job](const auto& sse) { return streamed(job, sse); },
                  [job](const auto& results) { return whole_json(*job, results); }},
                 options);
}

}  // namespace llm::api
