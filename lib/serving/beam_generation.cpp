#include "serving/beam_generation.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "base/error.h"
#include "serving/constraint/grammar_place.h"
#include "serving/sampler.h"
#include "serving/stopping.h"

namespace llm {

using TopLogprobs = std::shared_ptr<const std::vector<TokenLogprob>>;

struct BeamGeneration::Beam {
  std::shared_ptr<TokenSequence> sequence;  // shared only between the steps of advance()
  std::vector<int32_t> history;
  Sampler sampler;
  TextStreamer streamer;
  GrammarPlacePtr place;  // with a grammar
  std::string text;
  double sum = 0;
  std::vector<double> logprobs;
  std::vector<TopLogprobs> tops;  // with top_logprobs; shared with the beams that begin alike

  int64_t pending() const { return std::ssize(history) - (sequence ? sequence->length() : 0); }
};

struct BeamGeneration::Candidate {
  size_t beam;
  int32_t id;
  double sum, logprob;  // with this token; of this token in the raw distribution
  TopLogprobs top;      // of its place; null unless asked for
  GrammarPlacePtr place;
};

struct BeamGeneration::Finished {
  Beam beam;
  FinishReason reason;
  double score;
};

BeamGeneration::BeamGeneration(GenerationRequest request, const ContextPlan& plan,
                               int64_t vocab_size, ConstraintThread& constraint_thread,
                               Clock::time_point asked)
    : request_(std::move(request)),
      plan_(plan),
      vocab_size_(vocab_size),
      constraint_thread_(constraint_thread),
      clock_(asked),
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

/// Twice as many as there are beams, so that enough go on when some of them end; best first.
std::vector<BeamGeneration::Candidate> BeamGeneration::best_candidates(
    std::span<const float> logits) {
  const auto vocab = static_cast<size_t>(vocab_size_);
  std::vector<Candidate> all;
  for (size_t i = 0; i < beams_.size(); ++i) {
    Beam& beam = beams_[i];
    const auto row = logits.subspan(i * vocab, vocab);
    std::span<const uint32_t> allowed;
    if (beam.place) {
      if (beam.place->mask().allowed == 0) continue;
      allowed = beam.place->mask().bits;
    }
    const double raw_total = log_sum_exp(row);
    const int64_t tops = request_.config->top_logprobs;
    const auto top =
        tops == 0
            ? nullptr
            : std::make_shared<const std::vector<TokenLogprob>>(top_log_probabilities(row, tops));
    const auto adjusted = beam.sampler.adjusted(row, allowed);
    const double total = log_sum_exp(adjusted);
    const int64_t wanted = 2 * request_.config->num_beams;
    for (const TokenLogprob& best : top_log_probabilities(adjusted, wanted)) {
      const float value = adjusted[static_cast<size_t>(best.id)];
      if (value == -std::numeric_limits<float>::infinity()) break;
      all.push_back({i, best.id, beam.sum + static_cast<double>(value) - total,
                     static_cast<double>(row[static_cast<size_t>(best.id)]) - raw_total, top,
                     nullptr});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.sum > b.sum;  // equal ones stay in the order of beams, then of ids
  });
  if (all.size() > static_cast<size_t>(2 * request_.config->num_beams))
    all.resize(static_cast<size_t>(2 * request_.config->num_beams));
  return all;
}

BeamGeneration::Beam BeamGeneration::extended(size_t parent, const Candidate& candidate) const {
  Beam beam = beams_[parent];
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
    keep_finished(std::move(beams_.front()), FinishReason::stop);
    return finish(FinishReason::stop);
  }
  clock_.drew_token();
  candidates_ = best_candidates(logits);
  for (Candidate& candidate : *candidates_) {
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
  const bool enough = std::ssize(finished_) >= request_.config->num_beams;
  if (beams_.empty()) {
    finish(finished_.empty() ? FinishReason::error : FinishReason::stop,
           finished_.empty() ? "grammar: no token of this vocabulary can go on here" : "");
  } else if (used_up) {
    finish(FinishReason::length);
  } else if (enough && (request_.config->early_stopping || hopeless())) {
    finish(FinishReason::stop);
  }
  for (Beam& beam : beams_) {
    if (beam.place) beam.place->want_mask();
  }
  places_known_ = places_are_ready();
}

void BeamGeneration::advance(const std::vector<Candidate>& candidates) {
  const auto width = static_cast<size_t>(request_.config->num_beams);
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates.size() && next.size() < width; ++rank) {
    Beam beam = extended(candidates[rank].beam, candidates[rank]);
    const bool text_end =
        request_.config.ends_text(candidates[rank].id) && !request_.config->ignore_eos;
    const bool complete = beam.place && beam.place->constraint().must_end();
    const bool stopped = beam.streamer.stopped();
    if (!text_end && !complete && !stopped) {
      next.push_back(std::move(beam));
    } else if (rank < width) {
      keep_finished(std::move(beam), stopped ? FinishReason::stop_string : FinishReason::stop);
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

double BeamGeneration::score_of(double sum, size_t length) const {
  return sum / std::pow(static_cast<double>(std::max<size_t>(length, 1)),
                        request_.config->length_penalty);
}

void BeamGeneration::keep_finished(Beam beam, FinishReason reason) {
  beam.sequence.reset();
  const double score = score_of(beam.sum, beam.logprobs.size());
  const auto place = std::find_if(finished_.begin(), finished_.end(),
                                  [&](const Finished& other) { return other.score < score; });
  finished_.insert(place, {std::move(beam), reason, score});
  if (std::ssize(finished_) > request_.config->num_beams) finished_.pop_back();
}

/// The best running text cannot become better than the worst finished one.
bool BeamGeneration::hopeless() const {
  double best = -std::numeric_limits<double>::infinity();
  for (const Beam& beam : beams_) best = std::max(best, beam.sum);
  const size_t reach = request_.config->length_penalty > 0
                           ? static_cast<size_t>(request_.config.max_new_tokens())
                           : beams_.front().logprobs.size();
  return score_of(best, reach) <= finished_.back().score;
}

void BeamGeneration::preempt() {
  for (Beam& beam : beams_) beam.sequence.reset();
}

GenerationResult BeamGeneration::text_of(Finished& one) const {
  GenerationResult text = result_;  // for what is the prompt's
  text.token_ids.assign(one.beam.history.begin() + static_cast<std::ptrdiff_t>(prompt_tokens_),
                        one.beam.history.end());
  text.text = one.beam.text + one.beam.streamer.finish();
  text.finish_reason = one.reason;
  if (request_.config->return_logprobs) text.logprobs = std::move(one.beam.logprobs);
  for (const TopLogprobs& top : one.beam.tops) text.top_logprobs.push_back(*top);
  text.score = one.score;
  text.timing = clock_.timing(prompt_tokens_ - static_cast<size_t>(result_.prompt_tokens_cached),
                              text.token_ids.size());
  return text;
}

/// The best texts become the result.
void BeamGeneration::hand_out() {
  const auto wanted = static_cast<size_t>(request_.config->num_return_sequences);
  std::vector<GenerationResult> texts;
  for (size_t i = 0; i < std::min(finished_.size(), wanted); ++i)
    texts.push_back(text_of(finished_[i]));
  if (texts.size() == 1 && texts[0].token_ids.empty()) {
    const GenerationResult empty = texts[0];
    texts.resize(wanted, empty);
  }
  result_ = std::move(texts[0]);
  result_.others.assign(std::make_move_iterator(texts.begin() + 1),
                        std::make_move_iterator(texts.end()));
}

void BeamGeneration::finish(FinishReason reason, std::string_view error) {
  if (finished()) return;
  if (reason == FinishReason::length) {
    for (Beam& beam : beams_) keep_finished(std::move(beam), FinishReason::length);
  }
  beams_.clear();
  result_.finish_reason = reason;
  result_.error = error;
  if (reason != FinishReason::error && reason != FinishReason::cancelled) hand_out();
  if (!request_.on_token) return;
  request_.on_token({-1, result_.text, 0, {}});
}

}  // namespace llm
