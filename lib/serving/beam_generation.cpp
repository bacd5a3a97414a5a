#include "serving/beam_generation.h"

#include <algorithm>
#include <utility>

namespace llm {

BeamGeneration::BeamGeneration(GenerationRequest request, const ContextPlan& plan,
                               int64_t vocab_size, ConstraintThread& constraint_thread,
                               Clock::time_point asked)
    : request_(std::move(request)),
      plan_(plan),
      vocab_size_(vocab_size),
      constraint_thread_(constraint_thread),
      clock_(asked),
      finished_(request_.config),
      prompt_tokens_(request_.prompt_ids.size() - plan_.dropped),
      prompt_logprobs_(*request_.config, prompt_tokens_) {
  Beam first{.sequence = nullptr,
             .history = {request_.prompt_ids.begin() + static_cast<std::ptrdiff_t>(plan_.dropped),
                         request_.prompt_ids.end()},
             .sampler = Sampler(request_.config, request_.prompt_ids, vocab_size),
             .streamer = TextStreamer(request_.config->stop_strings),
             .place = {},
             .text = {},
             .logprobs = {},
             .tops = {}};
  beams_.push_back(std::move(first));
  result_.seed = request_.config.seed();
  result_.prompt_tokens_dropped = static_cast<int64_t>(plan_.dropped);
}

BeamGeneration::~BeamGeneration() = default;

bool BeamGeneration::cancelled() const { return request_.is_cancelled(); }

bool BeamGeneration::held() const { return request_.is_held && request_.is_held(); }

int64_t BeamGeneration::pending_tokens() const {
  int64_t pending = 0;
  for (const Beam& beam : beams_) pending += beam.pending();
  return pending;
}

bool BeamGeneration::decoding() const {
  // (All has been read while the candidates wait for their grammar.)
  return choosing_ && pending_tokens() == (candidates_ ? 0 : std::ssize(beams_));
}

int64_t BeamGeneration::generated_tokens() const {
  return beams_.empty() ? 0
                        : std::ssize(beams_.front().history) - static_cast<int64_t>(prompt_tokens_);
}

bool BeamGeneration::plan(int64_t budget, SequenceSource& source, std::vector<TokenSegment>& pass) {
  if (!look_at_grammar() || finished()) return true;
  const bool full =
      choosing_ && plan_.limit > 0 && std::ssize(beams_.front().history) >= plan_.limit;
  const bool prompt_only = request_.config.max_new_tokens() == 0;
  if ((prompt_only && !prompt_logprobs_.pending()) || full) {
    finish(FinishReason::length);
    return true;
  }
  clock_.began();
  for (Beam& beam : beams_) {
    if (beam.sequence) continue;
    const int64_t capacity =
        static_cast<int64_t>(prompt_tokens_) + request_.config.max_new_tokens();
    beam.sequence = source.start(beam.history, std::max(capacity, std::ssize(beam.history)),
                                 !prompt_logprobs_.pending(), request_.adapter);
    if (!beam.sequence) return false;
    if (!choosing_) result_.prompt_tokens_cached = beam.sequence->length();
  }
  // All beams at once, or a chunk of one that leaves its last token for that. (Log probabilities of
  // the prompt are noted while there is one beam.)
  const auto part =
      prompt_logprobs_.pending() ? TokenSegment::Logits::all : TokenSegment::Logits::none;
  whole_ = pending_tokens() <= std::max(budget, std::ssize(beams_));
  std::vector<TokenSegment> segments;
  reading_.assign(beams_.size(), {});
  for (size_t i = 0; i < beams_.size(); ++i) {
    Beam& beam = beams_[i];
    const int64_t length = beam.sequence->length();
    const int64_t count = whole_ ? beam.pending() : std::min(budget, beam.pending() - 1);
    if (count == 0) continue;
    if (!beam.sequence->reserve(length + count)) return false;
    reading_[i].assign(beam.history.begin() + length, beam.history.begin() + length + count);
    const bool last = whole_ && part == TokenSegment::Logits::none;
    segments.push_back(
        {beam.sequence.get(), reading_[i], last ? TokenSegment::Logits::last : part});
    if (!whole_) break;
  }
  pass.insert(pass.end(), segments.begin(), segments.end());
  return true;
}

Beam BeamGeneration::extended(const BeamCandidate& candidate) const {
  Beam beam = beams_[candidate.beam];
  beam.history.push_back(candidate.id);
  beam.sum = candidate.sum;
  beam.logprobs.push_back(candidate.logprob);
  if (candidate.top) beam.tops.push_back(candidate.top);
  beam.sampler.accept(candidate.id);
  beam.place = candidate.place;
  const bool may_stop = std::ssize(beam.logprobs) > request_.config->min_new_tokens;
  if (request_.token_bytes)
    beam.text += beam.streamer.feed(request_.token_bytes(candidate.id), may_stop);
  return beam;
}

void BeamGeneration::take(std::span<const float> logits) {
  if (prompt_logprobs_.pending()) {
    const Beam& only = beams_.front();
    const auto vocab = static_cast<size_t>(vocab_size_);
    const size_t read = reading_.front().size();
    prompt_logprobs_.note(logits, vocab, static_cast<size_t>(only.sequence->length()) - read,
                          only.history, result_);
    logits = logits.last(vocab);
  }
  if (!whole_) return;
  if (request_.config.max_new_tokens() == 0) return finish(FinishReason::length);
  choosing_ = true;
  if (beams_.front().place && beams_.front().place->constraint().must_end()) {  // at once
    finished_.keep(std::move(beams_.front()), FinishReason::stop);
    return finish(FinishReason::stop);
  }
  clock_.drew_token();
  candidates_ = best_candidates(beams_, *request_.config, logits);
  for (BeamCandidate& candidate : *candidates_) {
    if (request_.constraint) candidate.place = beams_[candidate.beam].place->after(candidate.id);
  }
  go_on();
}

bool BeamGeneration::places_are_ready() const {
  const auto ready = [](const auto& one) { return !one.place || one.place->ready(); };
  return candidates_ ? std::ranges::all_of(*candidates_, ready)
                     : std::ranges::all_of(beams_, ready);
}

/// Before anything is planned: takes the first place, or goes on with places that took long. False:
/// they still do.
bool BeamGeneration::look_at_grammar() {
  Beam& first = beams_.front();
  if (request_.constraint && !first.place) {
    first.place = GrammarPlace::start(*request_.constraint, vocab_size_, constraint_thread_);
    first.place->want_mask();
    places_known_ = places_are_ready();
  }
  if (!places_known_ && candidates_) {
    go_on();
  } else {
    places_known_ = places_known_ || places_are_ready();
  }
  return places_known_;
}

/// The step from the candidates to the next beams, once it is known what their grammars say.
void BeamGeneration::go_on() {
  places_known_ = places_are_ready();
  if (!places_known_) return;
  advance(*std::exchange(candidates_, std::nullopt));
  const bool used_up = generated_tokens() >= request_.config.max_new_tokens();
  if (beams_.empty()) {
    finish(finished_.empty() ? FinishReason::error : FinishReason::stop,
           finished_.empty() ? "grammar: no token of this vocabulary can go on here" : "");
  } else if (used_up) {
    finish(FinishReason::length);
  } else if (finished_.suffice(beams_)) {
    finish(FinishReason::stop);
  }
  for (Beam& beam : beams_) {
    if (beam.place) beam.place->want_mask();
  }
  places_known_ = places_are_ready();
}

void BeamGeneration::advance(const std::vector<BeamCandidate>& candidates) {
  const auto width = static_cast<size_t>(request_.config->num_beams);
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates.size() && next.size() < width; ++rank) {
    Beam beam = extended(candidates[rank]);
    const bool text_end =
        request_.config.ends_text(candidates[rank].id) && !request_.config->ignore_eos;
    const bool complete = beam.place && beam.place->constraint().must_end();
    const bool stopped = beam.streamer.stopped();
    if (!text_end && !complete && !stopped) {
      next.push_back(std::move(beam));
    } else if (rank < width) {
      finished_.keep(std::move(beam), stopped ? FinishReason::stop_string : FinishReason::stop);
    }
  }
  beams_.clear();  // sequences that nobody goes on with are let go
  // One child goes on with its parent's sequence, the others with copies.
  for (size_t i = 0; i < next.size(); ++i) {
    if (next[i].sequence.use_count() <= 1) continue;  // (none where it was put aside meanwhile)
    next[i].sequence = next[i].sequence->fork();
    if (!next[i].sequence) {  // no memory: all are read again later
      for (Beam& beam : next) beam.sequence.reset();
      break;
    }
  }
  beams_ = std::move(next);
}

void BeamGeneration::preempt() {
  for (Beam& beam : beams_) beam.sequence.reset();
}

void BeamGeneration::finish(FinishReason reason, std::string_view error) {
  if (finished()) return;
  if (reason == FinishReason::length) {
    for (Beam& beam : beams_) finished_.keep(std::move(beam), FinishReason::length);
  }
  beams_.clear();
  result_.finish_reason = reason;
  result_.error = error;
  if (reason != FinishReason::error && reason != FinishReason::cancelled) {
    const size_t read = prompt_tokens_ - static_cast<size_t>(result_.prompt_tokens_cached);
    result_ = finished_.result(result_, prompt_tokens_,
                               [&](size_t new_tokens) { return clock_.timing(read, new_tokens); });
  }
  if (!request_.on_token) return;
  request_.on_token({-1, result_.text, 0, {}});
}

}  // namespace llm
