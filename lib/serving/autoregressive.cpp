#include "serving/autoregressive.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/error.h"
#include "serving/sampler.h"

namespace llm {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// What the context policy makes of one request.
struct ContextPlan {
  size_t dropped = 0;  // oldest prompt tokens left out
  int64_t limit = 0;   // tokens the sequence may hold; 0 = unbounded
  bool slides = false;
};

ContextPlan plan_context(const GenerationRequest& request, int64_t context_length) {
  ContextPlan plan{0, context_length, false};
  if (context_length == 0) return plan;
  const auto prompt = static_cast<int64_t>(request.prompt_ids.size());
  const std::string& policy = request.config->max_context_policy;
  if (policy == "error") {
    if (prompt > context_length ||
        (prompt == context_length && request.config.max_new_tokens() > 0)) {
      fail(Exit::usage,
           fmt::format("prompt is {} tokens; this model's context is {} with the answer", prompt,
                       context_length),
           "--max-context-policy truncate-left or slide");
    }
  } else if (policy == "truncate-left") {
    const int64_t room = std::max<int64_t>(1, context_length - request.config.max_new_tokens());
    plan.dropped = static_cast<size_t>(std::max<int64_t>(0, prompt - room));
  } else {
    plan.slides = true;
    plan.dropped = static_cast<size_t>(
        std::max<int64_t>(0, prompt - std::max<int64_t>(1, context_length - 1)));
  }
  return plan;
}

/// One request on its way: its tokens, sampler, text and clock.
class Stream {
 public:
  Stream(const TokenModel& model, const GenerationRequest& request, Clock::time_point asked)
      : model_(model),
        request_(request),
        plan_(plan_context(request, model.context_length())),
        asked_(asked),
        sampler_(request.config, request.prompt_ids, model.vocab_size(), request.sequence),
        stopping_(request.config),
        text_(request.config->stop_strings) {
    result_.seed = request.config.seed();
    result_.prompt_tokens_dropped = static_cast<int64_t>(plan_.dropped);
    history_.assign(request.prompt_ids.begin() + static_cast<std::ptrdiff_t>(plan_.dropped),
                    request.prompt_ids.end());
    prompt_tokens_ = history_.size();
  }

  bool running() const { return result_.finish_reason == FinishReason::none; }
  TokenSequence& sequence() { return *sequence_; }
  int32_t last_token() const { return history_.back(); }

  /// Reads the prompt and draws the first token.
  void begin() {
    const auto started = Clock::now();
    if (request_.config.max_new_tokens() == 0) {
      if (request_.config->return_input_logprobs) read_prompt();
      return finish(FinishReason::length);
    }
    const std::vector<float> logits = read_prompt();
    take(logits);
    const double ms = milliseconds(Clock::now() - started);
    result_.timing.prompt_tokens_per_second =
        ms > 0 ? 1e3 * static_cast<double>(prompt_tokens_) / ms : 0;
  }

  /// Before a step: makes room if the context is full. False where the sequence had to end instead.
  bool make_room() {
    if (plan_.limit == 0 || sequence_->length() < plan_.limit) return true;
    if (!plan_.slides) {
      finish(FinishReason::length);
      return false;
    }
    // The last token has not been read yet; the step that follows appends it.
    const size_t keep = std::max<size_t>(1, static_cast<size_t>(plan_.limit) / 2);
    history_.erase(history_.begin(), history_.end() - static_cast<std::ptrdiff_t>(
                                                          std::min(history_.size(), keep + 1)));
    if (plan_.limit == 1) {
      sequence_ = model_.start(plan_.limit);
      return true;
    }
    sequence_ = model_.start(plan_.limit);
    model_.append(*sequence_, std::span(history_).first(history_.size() - 1));
    return true;
  }

  /// Draws the next token from the logits and settles what follows from it.
  void take(std::span<const float> logits) {
    const TokenChoice choice = sampler_.next(logits);
    const auto now = Clock::now();
    if (result_.token_ids.empty()) first_ = now;
    last_ = now;
    history_.push_back(choice.id);
    result_.token_ids.push_back(choice.id);
    if (request_.config->return_logprobs) result_.logprobs.push_back(choice.logprob);
    if (request_.config->return_probs) result_.probabilities.push_back(choice.probability);

    std::string shown;
    if (request_.token_bytes) shown = text_.feed(request_.token_bytes(choice.id));
    result_.text += shown;
    FinishReason reason = stopping_.after_token(choice.id, sampler_.generated());
    if (text_.stopped() && reason != FinishReason::stop) reason = FinishReason::stop_string;
    if (request_.on_token && !request_.on_token(choice.id, shown)) reason = FinishReason::cancelled;
    if (reason != FinishReason::none) finish(reason);
  }

  GenerationResult release() { return std::move(result_); }

 private:
  /// Feeds the prompt; the logits after its last token.
  std::vector<float> read_prompt() {
    const auto wanted = static_cast<int64_t>(prompt_tokens_) + request_.config.max_new_tokens();
    sequence_ = model_.start(plan_.limit == 0 ? wanted : std::min(wanted, plan_.limit));
    if (!request_.config->return_input_logprobs) {
      const std::span<const float> logits = model_.append(*sequence_, history_);
      return {logits.begin(), logits.end()};
    }
    const auto vocab = static_cast<size_t>(model_.vocab_size());
    std::vector<float> all(history_.size() * vocab);
    model_.append_all(*sequence_, history_, all);
    for (size_t i = 1; i < history_.size(); ++i) {
      result_.input_logprobs.push_back(
          log_probability(std::span(all).subspan((i - 1) * vocab, vocab), history_[i]));
    }
    return {all.end() - static_cast<std::ptrdiff_t>(vocab), all.end()};
  }

  void finish(FinishReason reason) {
    result_.finish_reason = reason;
    const std::string rest = text_.finish();
    result_.text += rest;
    sequence_.reset();
    GenerationTiming& timing = result_.timing;
    timing.total_ms = milliseconds(Clock::now() - asked_);
    const size_t count = result_.token_ids.size();
    if (count > 0) {
      timing.ttft_ms = milliseconds(first_ - asked_);
      const double between = milliseconds(last_ - first_);
      timing.tpot_ms = count > 1 ? between / static_cast<double>(count - 1) : 0;
      timing.tokens_per_second =
          timing.tpot_ms > 0
              ? 1e3 / timing.tpot_ms
              : (timing.total_ms > 0 ? 1e3 * static_cast<double>(count) / timing.total_ms : 0);
    }
    if (request_.on_token) request_.on_token(-1, rest);
  }

  const TokenModel& model_;
  const GenerationRequest& request_;
  ContextPlan plan_;
  Clock::time_point asked_, first_, last_;
  Sampler sampler_;
  StoppingCriteria stopping_;
  TextStreamer text_;
  std::unique_ptr<TokenSequence> sequence_;
  std::vector<int32_t> history_;  // what the model sees, the newest token included
  size_t prompt_tokens_ = 0;
  GenerationResult result_;
};

void check_request(const GenerationRequest& request, int64_t vocab_size) {
  check(!request.prompt_ids.empty(), "prompt is empty: at least one token is needed");
  for (size_t i = 0; i < request.prompt_ids.size(); ++i) {
    check(request.prompt_ids[i] >= 0 && request.prompt_ids[i] < vocab_size,
          "prompt[{}] = {} is not below vocab_size {}", i, request.prompt_ids[i], vocab_size);
  }
  check(request.config->stop_strings.empty() || request.token_bytes,
        "stop strings need token_bytes");
}

}  // namespace

Autoregressive::Autoregressive(const TokenModel& model, int64_t max_batch)
    : model_(model), max_batch_(max_batch) {
  check(max_batch >= 1, "max_batch must be at least 1, got {}", max_batch);
}

std::vector<GenerationResult> Autoregressive::generate(
    std::span<const GenerationRequest> requests) const {
  const auto asked = Clock::now();
  for (const GenerationRequest& request : requests) {
    check_request(request, model_.vocab_size());
    plan_context(request, model_.context_length());  // refuses before any work
  }
  const auto vocab = static_cast<size_t>(model_.vocab_size());
  std::vector<GenerationResult> results(requests.size());
  std::vector<std::pair<size_t, std::unique_ptr<Stream>>> active;
  std::vector<TokenSequence*> sequences;
  std::vector<int32_t> ids;
  std::vector<float> logits;
  size_t next = 0;
  while (next < requests.size() || !active.empty()) {
    while (next < requests.size() && static_cast<int64_t>(active.size()) < max_batch_) {
      auto stream = std::make_unique<Stream>(model_, requests[next], asked);
      stream->begin();
      active.emplace_back(next++, std::move(stream));
    }
    sequences.clear();
    ids.clear();
    std::erase_if(active, [&](auto& entry) {
      auto& [index, stream] = entry;
      const bool stays = stream->running() && stream->make_room();
      if (stays) {
        sequences.push_back(&stream->sequence());
        ids.push_back(stream->last_token());
      } else {
        results[index] = stream->release();
      }
      return !stays;
    });
    if (sequences.empty()) continue;
    logits.resize(sequences.size() * vocab);
    model_.step(sequences, ids, logits);
    for (size_t row = 0; row < active.size(); ++row)
      active[row].second->take(std::span(logits).subspan(row * vocab, vocab));
  }
  return results;
}

}  // namespace llm
