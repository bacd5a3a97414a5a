#include "serving/http/api/completion_answer.h"

#include <algorithm>
#include <numeric>

namespace llm::api {
namespace {

OrderedJson head_of(const CompletionJob& job) {
  return {{"id", job.id},
          {"object", "text_completion"},
          {"created", job.created},
          {"model", job.asked.name}};
}

/// The tokens of an echoed prompt, with what the result knows of them.
std::vector<LabelledToken> labelled_prompt(const std::vector<int32_t>& prompt,
                                           const GenerationResult& read) {
  std::vector<LabelledToken> tokens;
  // The first token that the model has read has nothing before it, nor do those that were left out.
  const size_t first = static_cast<size_t>(read.prompt_tokens_dropped) + 1;
  for (size_t i = 0; i < prompt.size(); ++i) {
    const size_t place = i - first;
    if (i < first || place >= read.input_logprobs.size()) {
      tokens.push_back({prompt[i], 0, false, {}});
    } else {
      tokens.push_back({prompt[i], read.input_logprobs[place], true,
                        place < read.input_top_logprobs.size() ? read.input_top_logprobs[place]
                                                               : std::vector<TokenLogprob>{}});
    }
  }
  return tokens;
}

void add_labelled(const GenerationResult& text, std::vector<LabelledToken>& tokens) {
  for (size_t i = 0; i < std::min(text.token_ids.size(), text.logprobs.size()); ++i)
    tokens.push_back(
        {text.token_ids[i], text.logprobs[i], true,
         i < text.top_logprobs.size() ? text.top_logprobs[i] : std::vector<TokenLogprob>{}});
}

/// Characters that the tokens begin with and the text does not.
size_t hidden_characters(const CompletionJob& job, size_t prompt) {
  std::string bytes;
  for (const int32_t id : job.prompts[prompt]) bytes += job.model.token_bytes(id);
  const std::string& text = job.prompt_texts[prompt];
  if (!bytes.ends_with(text)) return 0;
  CharacterCount count;
  count.add(std::string_view(bytes).substr(0, bytes.size() - text.size()));
  return count.begun();
}

OrderedJson logprobs_of(const CompletionJob& job, size_t prompt, const GenerationResult& text,
                        const GenerationResult& read) {
  if (!job.logprobs) return nullptr;
  std::vector<LabelledToken> tokens;
  if (job.echo) tokens = labelled_prompt(job.prompts[prompt], read);
  add_labelled(text, tokens);
  CharacterCount count;
  return completion_logprobs(job.model, tokens, count,
                             job.echo ? hidden_characters(job, prompt) : 0);
}

/// `read` is the result that has the prompt's log probabilities.
OrderedJson choice_json(const CompletionJob& job, size_t prompt, size_t index,
                        const GenerationResult& text, const GenerationResult& read) {
  return {{"index", index},
          {"text", (job.echo ? job.prompt_texts[prompt] : "") + text.text},
          {"logprobs", logprobs_of(job, prompt, text, read)},
          {"finish_reason", openai_finish_reason(text.finish_reason)}};
}

double mean_logprob(const GenerationResult& result) {
  if (result.logprobs.empty()) return 0;
  return std::accumulate(result.logprobs.begin(), result.logprobs.end(), 0.0) /
         static_cast<double>(result.logprobs.size());
}

/// A prompt's choices: of best_of texts the n with the highest mean log probability.
std::vector<const GenerationResult*> chosen(const CompletionJob& job, size_t prompt,
                                            const std::vector<GenerationResult>& results) {
  if (job.fields.beams()) return texts_of(results[prompt]);
  std::vector<const GenerationResult*> own;
  for (size_t i = 0; i < job.searches(); ++i) own.push_back(&results[prompt * job.searches() + i]);
  if (job.fields.best_of > job.fields.n) {
    std::stable_sort(own.begin(), own.end(),
                     [](const GenerationResult* a, const GenerationResult* b) {
                       return mean_logprob(*a) > mean_logprob(*b);
                     });
    own.resize(static_cast<size_t>(job.fields.n));
  }
  return own;
}

/// A stream of chunks. Without beams every result is a choice, with its index.
class CompletionStream {
 public:
  CompletionStream(std::shared_ptr<CompletionJob> job, std::shared_ptr<http::SseStream> sse)
      : job_(std::move(job)),
        sse_(std::move(sse)),
        texts_(job_->prompts.size() * job_->searches()) {}

  bool start() {
    if (!sse_->begin()) return false;
    if (!job_->echo || job_->fields.beams()) return true;
    for (size_t i = 0; i < texts_.size(); ++i)
      send(i, job_->prompt_texts[i / job_->searches()], nullptr, nullptr);
    return true;
  }

  bool token(size_t index, const TokenEvent& event) {
    const bool with_logprob = job_->logprobs && event.id >= 0;
    if (job_->fields.beams() || (event.text.empty() && !with_logprob)) return !sse_->reply().gone();
    OrderedJson logprobs = nullptr;
    if (with_logprob) {
      const LabelledToken token{
          event.id, event.logprob, true, {event.top.begin(), event.top.end()}};
      logprobs = completion_logprobs(job_->model, {token}, texts_[index]);
    }
    return send(index, event.text, std::move(logprobs), nullptr);
  }

  void end(size_t index, const GenerationResult& result) {
    if (result.finish_reason == FinishReason::error ||
        result.finish_reason == FinishReason::cancelled)
      return;
    if (!job_->fields.beams()) {
      send(index, "", nullptr, openai_finish_reason(result.finish_reason));
      return;
    }
    const auto texts = texts_of(result);
    for (size_t k = 0; k < texts.size(); ++k) {
      const size_t shown = index * static_cast<size_t>(job_->fields.n) + k;
      OrderedJson choice = choice_json(*job_, index, shown, *texts[k], result);
      const OrderedJson reason = std::exchange(choice["finish_reason"], nullptr);
      send(std::move(choice));
      send(shown, "", nullptr, reason);
    }
  }

  void done(const std::vector<GenerationResult>& results) {
    if (job_->fields.include_usage) {
      OrderedJson last = head_of(*job_);
      last["choices"] = OrderedJson::array();
      last["usage"] = usage_of(results, job_->prompt_lengths()).json();
      sse_->event(dumped(last));
    }
    sse_->done();
  }

 private:
  bool send(size_t index, std::string_view text, OrderedJson logprobs, OrderedJson reason) {
    return send({{"index", index},
                 {"text", text},
                 {"logprobs", std::move(logprobs)},
                 {"finish_reason", std::move(reason)}});
  }
  bool send(OrderedJson choice) {
    OrderedJson chunk = head_of(*job_);
    chunk["choices"] = OrderedJson::array({std::move(choice)});
    if (job_->fields.include_usage) chunk["usage"] = nullptr;
    return sse_->event(dumped(chunk));
  }

  std::shared_ptr<CompletionJob> job_;
  std::shared_ptr<http::SseStream> sse_;
  std::vector<CharacterCount> texts_;  // of each choice so far
};

}  // namespace

std::vector<size_t> CompletionJob::prompt_lengths() const {
  std::vector<size_t> lengths;
  for (const auto& prompt : prompts) lengths.push_back(prompt.size());
  return lengths;
}

std::string whole_completion(const CompletionJob& job,
                             const std::vector<GenerationResult>& results) {
  std::vector<std::string> choices;
  for (size_t prompt = 0; prompt < job.prompts.size(); ++prompt) {
    const GenerationResult& read = results[prompt * job.searches()];
    size_t index = prompt * static_cast<size_t>(job.fields.n);
    for (const GenerationResult* text : chosen(job, prompt, results))
      choices.push_back(dumped(choice_json(job, prompt, index++, *text, read)));
  }
  return with_choices(head_of(job), choices,
                      {{"usage", usage_of(results, job.prompt_lengths()).json()},
                       {"timings", timings_json(results[0], job.prompts[0].size())}});
}

ChoiceCallbacks streamed_completion(const std::shared_ptr<CompletionJob>& job,
                                    const std::shared_ptr<http::SseStream>& sse) {
  return callbacks_of(std::make_shared<CompletionStream>(job, sse), sse);
}

}  // namespace llm::api
