#include "serving/text_generation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "serving/constraint/grammar_place.h"

namespace llm {

TextGeneration::TextGeneration(GenerationRequest request, const ContextPlan& plan,
                               int64_t vocab_size, std::unique_ptr<Drafter> drafter,
                               ConstraintThread& constraint_thread, Clock::time_point asked)
    : request_(std::move(request)),
      plan_(plan),
      vocab_size_(vocab_size),
      sampler_(request_.config, request_.prompt_ids, vocab_size, request_.sequence),
      stopping_(request_.config),
      text_(request_.config->stop_strings),
      drafter_(std::move(drafter)),
      constraint_thread_(constraint_thread),
      clock_(asked),
      prompt_tokens_(request_.prompt_ids.size() - plan_.dropped),
      prompt_logprobs_(*request_.config, prompt_tokens_) {
  result_.seed = request_.config.seed();
  result_.prompt_tokens_dropped = static_cast<int64_t>(plan_.dropped);
  history_.assign(request_.prompt_ids.begin() + static_cast<std::ptrdiff_t>(plan_.dropped),
                  request_.prompt_ids.end());
}

TextGeneration::~TextGeneration() = default;

bool TextGeneration::cancelled() const { return request_.is_cancelled(); }

bool TextGeneration::held() const { return request_.is_held && request_.is_held(); }

int64_t TextGeneration::pending_tokens() const {
  return std::ssize(history_) - (sequence_ ? sequence_->length() : 0);
}

bool TextGeneration::open_sequence(SequenceSource& source) {
  if (sequence_) return true;
  clock_.began();
  const int64_t wanted = static_cast<int64_t>(prompt_tokens_) + request_.config.max_new_tokens();
  const int64_t capacity = plan_.limit == 0 ? wanted : std::min(wanted, plan_.limit);
  sequence_ = source.start(history_, std::max(capacity, std::ssize(history_)),
                           !prompt_logprobs_.pending(), request_.adapter);
  if (sequence_ && !choosing_) result_.prompt_tokens_cached = sequence_->length();
  return sequence_ != nullptr;
}

/// If the context is full: the newest half becomes the prompt, or the text ends. False: it ended.
bool TextGeneration::make_room() {
  const bool ends = choosing_ && !plan_.slides;
  if (plan_.limit == 0 || std::ssize(history_) < plan_.limit + (ends ? 0 : 1)) return true;
  if (!plan_.slides) {
    if (place_known_) finish(FinishReason::length);  // else its grammar may have ended it before
    return false;
  }
  const int64_t keep = plan_.limit == 1 ? 1 : std::max<int64_t>(1, plan_.limit / 2) + 1;
  history_.erase(history_.begin(), history_.end() - std::min(std::ssize(history_), keep));
  sequence_.reset();
  return true;
}

/// Guesses that may follow the history: never so many that the text could not hold them.
std::vector<int32_t> TextGeneration::drafted_tokens() const {
  const int64_t left = request_.config.max_new_tokens() - sampler_.generated() - 1;
  int64_t count = std::min(request_.config->num_speculative_tokens, left);
  if (plan_.limit > 0)
    count = std::min(count, plan_.limit - std::ssize(history_) - (plan_.slides ? 0 : 1));
  if (!drafter_ || count <= 0) return {};
  return drafter_->draft(history_, count);
}

bool TextGeneration::plan(int64_t budget, SequenceSource& source, std::vector<TokenSegment>& pass) {
  if (request_.config.max_new_tokens() == 0 && !prompt_logprobs_.pending()) {
    finish(FinishReason::length);
    return true;
  }
  const bool may_choose = look_at_grammar();
  if (finished() || !make_room()) return true;
  if (!open_sequence(source)) return false;
  const int64_t pending = pending_tokens(), length = sequence_->length();
  const int64_t count = std::min(pending - (may_choose ? 0 : 1), std::max<int64_t>(budget, 1));
  if (count == 0) return true;
  whole_ = count == pending;
  reading_.assign(history_.begin() + length, history_.begin() + length + count);
  drafts_ = 0;
  if (whole_ && choosing_ && pending == 1) {
    const std::vector<int32_t> drafted = drafted_tokens();
    drafts_ = drafted.size();
    reading_.insert(reading_.end(), drafted.begin(), drafted.end());
  }
  if (!sequence_->reserve(length + std::ssize(reading_))) {
    if (drafts_ == 0) return false;
    reading_.resize(1);  // no room for guesses
    drafts_ = 0;
    if (!sequence_->reserve(length + 1)) return false;
  }
  const bool all = drafts_ > 0 || prompt_logprobs_.pending();
  pass.push_back({sequence_.get(), reading_,
                  all      ? TokenSegment::Logits::all
                  : whole_ ? TokenSegment::Logits::last
                           : TokenSegment::Logits::none});
  return true;
}

void TextGeneration::take(std::span<const float> logits) {
  const auto vocab = static_cast<size_t>(vocab_size_);
  const bool noted = prompt_logprobs_.pending();
  if (noted)
    prompt_logprobs_.note(logits, vocab, static_cast<size_t>(sequence_->length()) - reading_.size(),
                          history_, result_);
  if (!whole_) return;
  if (request_.config.max_new_tokens() == 0) return finish(FinishReason::length);
  choosing_ = true;
  const int64_t before = sequence_->length() - static_cast<int64_t>(drafts_);
  size_t right = 0;
  // Each row is what follows if all guesses before it were right.
  for (size_t guess = 0;; ++guess) {
    const size_t row = noted ? reading_.size() - 1 : guess;
    choose(logits.subspan(row * vocab, vocab));
    const bool last = guess == drafts_ || finished() || waits();
    if (last || history_.back() != reading_[reading_.size() - drafts_ + guess]) break;
    ++right;
  }
  result_.tokens_drafted += static_cast<int64_t>(drafts_);
  result_.tokens_accepted += static_cast<int64_t>(right);
  if (!sequence_) return;
  if (drafts_ > right) sequence_->truncate(before + static_cast<int64_t>(right));
  sequence_->drop_unseen();
}

/// Before anything is planned: takes the first place, or the news of one that took long. False: it
/// still does.
bool TextGeneration::look_at_grammar() {
  if (request_.constraint && !place_) {
    place_ = GrammarPlace::start(*request_.constraint, vocab_size_, constraint_thread_);
    place_->want_mask();
    place_known_ = place_->ready();
  } else if (!place_known_ && place_->ready()) {
    place_known_ = true;
    if (sampler_.generated() > 0 && place_->constraint().must_end()) finish(FinishReason::stop);
  }
  return place_known_;
}

void TextGeneration::choose(std::span<const float> logits) {
  if (!place_) return settle(sampler_.next(logits));
  if (place_->constraint().must_end()) return finish(FinishReason::stop);  // at once
  const TokenMask& mask = place_->mask();
  if (mask.allowed > 0) return settle(sampler_.next(logits, mask.bits));
  if (place_->constraint().may_end() || place_->constraint().ended()) {
    finish(FinishReason::stop);
  } else {
    finish(FinishReason::error, "grammar: no token of this vocabulary can go on here");
  }
}

/// Draws have been made: what follows from it.
void TextGeneration::settle(const TokenChoice& choice) {
  clock_.drew_token();
  history_.push_back(choice.id);
  result_.token_ids.push_back(choice.id);
  const GenerationConfig& config = *request_.config;
  if (config.return_logprobs) result_.logprobs.push_back(choice.logprob);
  if (config.return_probs) result_.probabilities.push_back(choice.probability);
  if (config.top_logprobs > 0) result_.top_logprobs.push_back(choice.top);
  if (place_) {
    place_ = place_->after(choice.id);
    place_known_ = place_->ready();
  }
  const bool complete = place_ && place_known_ && place_->constraint().must_end();

  std::string shown;
  if (request_.token_bytes)
    shown =
        text_.feed(request_.token_bytes(choice.id), sampler_.generated() > config.min_new_tokens);
  result_.text += shown;
  FinishReason reason = stopping_.after_token(choice.id, sampler_.generated());
  if (text_.stopped() && reason != FinishReason::stop) reason = FinishReason::stop_string;
  if (reason == FinishReason::none && complete) reason = FinishReason::stop;
  if (request_.is_complete && request_.is_complete(shown)) reason = FinishReason::stop;
  if (request_.on_token && !request_.on_token({choice.id, shown, choice.logprob, choice.top}))
    reason = FinishReason::cancelled;
  if (reason != FinishReason::none) {
    finish(reason);
  } else if (place_) {
    place_->want_mask();
    place_known_ = place_known_ && place_->ready();
  }
}

void TextGeneration::preempt() { sequence_.reset(); }

void TextGeneration::finish(FinishReason reason, std::string_view error) {
  if (finished()) return;
  result_.finish_reason = reason;
  result_.error = error;
  const std::string rest = text_.finish();
  result_.text += rest;
  result_.timing = clock_.timing(prompt_tokens_ - static_cast<size_t>(result_.prompt_tokens_cached),
                                 result_.token_ids.size());
  if (request_.on_token) request_.on_token({-1, rest, 0, {}});
}

}  // namespace llm
