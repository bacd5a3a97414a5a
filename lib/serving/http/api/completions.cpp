#include "serving/http/api/completions.h"

#include <memory>

#include "serving/http/api/answer_size.h"
#include "serving/http/api/completion_answer.h"
#include "serving/http/api/fill_in_middle.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/pace_completions.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using nlohmann::json;

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
    if (job->echo) job->prompt_texts.push_back(model.tokenizer().decode(prompt));
  }
  GenerationConfig& config = job->fields.config;
  config.return_logprobs = job->logprobs.has_value() || job->fields.best_of > job->fields.n;
  config.top_logprobs = job->logprobs.value_or(0);
  config.return_input_logprobs = job->echo && job->logprobs;
  bound_answer(job->fields, job->prompts, model);
  return job;
}

/// All requests of a job, prompt by prompt. Only the first of a prompt reads its log probabilities.
std::vector<GenerationRequest> requests_of(const CompletionJob& job, const ChoicePlan& plan) {
  ChoicePlan without = plan;
  if (plan.config->return_input_logprobs) {
    GenerationConfig config = *plan.config;  // with the seed in force
    config.return_input_logprobs = false;
    without.config = freeze_for(job.model, std::move(config));
  }
  std::vector<GenerationRequest> requests;
  for (const std::vector<int32_t>& prompt : job.prompts) {
    for (int64_t i = 0; i < job.fields.searches(); ++i)
      requests.push_back(choice_request(job.model, i == 0 ? plan : without, prompt, i));
  }
  return requests;
}

}  // namespace

void answer_completions(const ServedModel& model, const AnswerOptions& options,
                        const http::Request& request, const http::ReplyPtr& reply) {
  const auto table = route_body("/v1/completions", model.most_new_tokens()).fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, table);
  heed_unknown_fields(model, "/v1/completions", body);
  if (asks_for_pace_shape(body))
    return answer_pace_completions(model, options, request, document, reply);
  const auto job = read_job(model, body, request.id);
  const ChoicePlan plan{freeze_for(model, job->fields.config), job->asked.adapter,
                        requested_constraint(body, ordered_body(request), model)};
  answer_choices(model, reply, requests_of(*job, plan), job->fields.stream,
                 {[job](const auto& sse) { return streamed_completion(job, sse); },
                  [job](const auto& results) { return whole_completion(*job, results); }},
                 options);
}

}  // namespace llm::api
