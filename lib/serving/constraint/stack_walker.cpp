#include "serving/constraint/stack_walker.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace llm::constraint {
namespace {

constexpr size_t kRememberedStates = 4096;  // beyond these, refresh() starts anew
constexpr size_t kRememberedFrames = 65'536;
constexpr size_t kMostStates = 100'000;  // in one walk
constexpr size_t kMostMoves = 16'000'000;

}  // namespace

void forget_distant_counts(const Grammar& grammar, StackSet& set, uint32_t reach) {
  if (set.words.empty()) return;
  for (size_t i = 0; i < set.words[0]; ++i) {
    const Step& step = grammar.steps[set.words[1 + 3 * i + 1]];
    if (step.op != Op::test) continue;
    const Loop& loop = grammar.loops[step.a];
    uint32_t& count = set.words[1 + 3 * i + 2];
    if (count < loop.min) {
      if (loop.min - count > reach) count = loop.min - reach - 1;
    } else if (loop.max == kUnbounded || loop.max - count > reach) {
      count = loop.min;
    }
  }
}

size_t StackWalker::FrameHash::operator()(const FrameKey& key) const {
  return mix64(mix64(uint64_t{key.below} << 32 | key.step) + key.count);
}

StackWalker::StackWalker(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  visited_.resize(64);
  visited_round_.resize(64);
  clear();
}

void StackWalker::clear() {
  frames_.assign(1, {0, 0, 0, 0});
  frame_index_.clear();
  states_.clear();
  state_index_.clear();
  moves_.clear();
}

void StackWalker::refresh(size_t most_work) {
  work_ = 0;
  most_work_ = most_work;
  if (large()) clear();
}

bool StackWalker::large() const {
  return states_.size() > kRememberedStates || frames_.size() > kRememberedFrames;
}

uint32_t StackWalker::push(uint32_t below, uint32_t step, uint32_t count) {
  const auto [place, added] =
      frame_index_.try_emplace({below, step, count}, static_cast<uint32_t>(frames_.size()));
  if (added) frames_.push_back({below, step, count, frames_[below].depth + 1});
  return place->second;
}

bool StackWalker::visited(uint32_t step, uint32_t frame) const {
  const uint64_t key = uint64_t{step} << 32 | frame;
  const size_t mask = visited_.size() - 1;
  for (size_t i = mix64(key) & mask; visited_round_[i] == round_; i = (i + 1) & mask) {
    if (visited_[i] == key) return true;
  }
  return false;
}

bool StackWalker::first_visit(uint32_t step, uint32_t frame) {
  if (visited(step, frame)) return false;
  if (++work_ > most_work_) throw MoreWorkNeeded();
  const GrammarLimits& limits = grammar_->limits;
  check(++visits_ <= limits.max_live_stacks, "grammar: more than {} live stacks at one place",
        limits.max_live_stacks);
  check(work_ <= limits.max_work_per_mask, "grammar: too ambiguous, more than {} ways to follow",
        limits.max_work_per_mask);
  const auto insert = [&](uint64_t key) {
    const size_t mask = visited_.size() - 1;
    size_t i = mix64(key) & mask;
    while (visited_round_[i] == round_) i = (i + 1) & mask;
    visited_[i] = key;
    visited_round_[i] = round_;
  };
  if (2 * visits_ > visited_.size()) {
    std::vector<uint64_t> keys;
    for (size_t i = 0; i < visited_.size(); ++i) {
      if (visited_round_[i] == round_) keys.push_back(visited_[i]);
    }
    visited_.assign(2 * visited_.size(), 0);
    visited_round_.assign(visited_.size(), 0);
    for (const uint64_t key : keys) insert(key);
  }
  insert(uint64_t{step} << 32 | frame);
  return true;
}

/// Adds a way, unless it could not be completed within the depth allowed.
void StackWalker::follow(uint32_t step, uint32_t frame) {
  const uint32_t room = grammar_->room[step];
  if (room == kNoStep) return;
  const uint32_t height = frames_[frame].depth + room;
  tallest_ = std::max(tallest_, height);
  if (height > grammar_->limits.max_stack_depth) return;
  if (first_visit(step, frame)) pending_.push_back({step, frame});
}

/// From pending_ to closed_: everything reached without a byte.
void StackWalker::close() {
  while (!pending_.empty()) {
    const auto [at, frame] = pending_.back();
    pending_.pop_back();
    const Step step = grammar_->steps[at];
    switch (step.op) {
      case Op::bytes:
        closed_.push_back({at, frame});
        break;
      case Op::split:
        for (uint32_t i = step.b; i-- > 0;) follow(grammar_->targets[step.a + i], frame);
        break;
      case Op::call:
        follow(grammar_->rules[step.a].start, step.b == kNoStep ? frame : push(frame, step.b, 0));
        break;
      case Op::loop:
        follow(grammar_->loops[step.a].test, push(frame, grammar_->loops[step.a].test, 0));
        break;
      case Op::test: {
        const Loop& loop = grammar_->loops[step.a];
        const Frame counter = frames_[frame];
        if (counter.count >= loop.min) follow(loop.exit, counter.below);
        if (counter.count < loop.max) follow(loop.body, frame);
        break;
      }
      case Op::again: {
        const Loop& loop = grammar_->loops[step.a];
        const Frame counter = frames_[frame];
        // An empty round: the round not taken allows all that follows it, and more.
        if (loop.nullable_body && visited(loop.test, frame)) break;
        const uint32_t count =
            loop.max == kUnbounded ? std::min(counter.count + 1, loop.min) : counter.count + 1;
        follow(loop.test, push(counter.below, loop.test, count));
        break;
      }
      case Op::finish:
        if (frame == 0) {
          closed_accepting_ = true;
        } else {
          follow(frames_[frame].step, frames_[frame].below);
        }
        break;
    }
  }
}

int32_t StackWalker::intern() {
  if (closed_.empty() && !closed_accepting_) return kDead;
  std::sort(closed_.begin(), closed_.end());
  uint64_t hash = closed_accepting_;
  for (const Way& way : closed_) hash = mix64(hash ^ (uint64_t{way.step} << 32 | way.frame));
  const auto [begin, end] = state_index_.equal_range(hash);
  for (auto place = begin; place != end; ++place) {
    const State& known = states_[place->second];
    if (known.accepting == closed_accepting_ && known.ways == closed_) return place->second;
  }
  const size_t moves = moves_.size() + grammar_->classes;
  check(states_.size() < kMostStates && moves <= kMostMoves,
        "grammar: too ambiguous, more than {} states in one walk", states_.size());
  const auto state = static_cast<int32_t>(states_.size());
  states_.push_back({closed_, closed_accepting_});
  state_index_.emplace(hash, state);
  moves_.resize(moves, kUnknown);
  return state;
}

int32_t StackWalker::compute_move(int32_t state, uint8_t byte_class) {
  pending_.clear();
  closed_.clear();
  closed_accepting_ = false;
  ++round_;
  visits_ = 0;
  for (const Way& way : states_[state].ways) {
    const Step& step = grammar_->steps[way.step];
    if (grammar_->set_has_class[step.a][byte_class]) follow(step.b, way.frame);
  }
  work_ += states_[state].ways.size();
  close();
  const int32_t next = intern();
  moves_[static_cast<size_t>(state) * grammar_->classes + byte_class] = next;
  return next;
}

int32_t StackWalker::state_of(std::span<const Way> ways) {
  pending_.clear();
  closed_.clear();
  closed_accepting_ = false;
  ++round_;
  visits_ = 0;
  for (const Way& way : ways) follow(way.step, way.frame);
  close();
  return intern();
}

int32_t StackWalker::start() {
  const Way way{grammar_->rules[grammar_->root].start, 0};
  return state_of({&way, 1});
}

int32_t StackWalker::walk(int32_t state, std::string_view bytes) {
  for (const char byte : bytes) {
    if (state == kDead) break;
    state = step(state, static_cast<uint8_t>(byte));
  }
  return state;
}

int32_t StackWalker::load(const StackSet& set) {
  if (set.words.empty()) return start();
  std::vector<uint32_t> frames(set.words[0] + 1);
  for (size_t i = 0; i < set.words[0]; ++i) {
    const uint32_t* frame = &set.words[1 + 3 * i];
    frames[i + 1] = push(frames[frame[0]], frame[1], frame[2]);
  }
  closed_.clear();
  closed_accepting_ = set.accepting;
  for (size_t i = 1 + 3 * size_t{set.words[0]}; i < set.words.size(); i += 2) {
    closed_.push_back({set.words[i], frames[set.words[i + 1]]});
  }
  std::sort(closed_.begin(), closed_.end());
  closed_.erase(std::unique(closed_.begin(), closed_.end()), closed_.end());
  return intern();
}

StackSet StackWalker::save(int32_t state) const {
  const State& from = states_[state];
  StackSet set;
  set.accepting = from.accepting;
  set.words.push_back(0);
  std::unordered_map<uint32_t, uint32_t> numbers{{0, 0}};
  std::vector<uint32_t> unnumbered;
  for (const Way& way : from.ways) {
    for (uint32_t frame = way.frame; !numbers.contains(frame); frame = frames_[frame].below) {
      unnumbered.push_back(frame);
    }
    for (; !unnumbered.empty(); unnumbered.pop_back()) {
      const Frame& frame = frames_[unnumbered.back()];
      set.words.insert(set.words.end(), {numbers.at(frame.below), frame.step, frame.count});
      numbers.emplace(unnumbered.back(), ++set.words[0]);
    }
  }
  for (const Way& way : from.ways) {
    set.words.push_back(way.step);
    set.words.push_back(numbers.at(way.frame));
  }
  return set;
}

}  // namespace llm::constraint
