// Follows a text through a grammar, byte by byte.
//
// A state is the set of all ways that are open: pairs of the next step and a stack. States, stacks
// and the moves between states are remembered while a walker lives, so walking the thousands of
// tokens of a vocabulary is table look-up after the first few. Numbers of states and stacks belong
// to one walker; `StackSet` carries a state from one to another (and is what a sequence keeps).
//
// Throws Error(Exit::usage) "grammar: more than 65536 live stacks at one place", or "... too
// ambiguous" when the work of one refresh() is used up: never a hang; MoreWorkNeeded where the
// caller allowed less than the grammar does. Not thread-safe.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "serving/constraint/grammar.h"

namespace llm {

/// Of work, counted in ways followed: as much as the grammar's limits allow.
inline constexpr size_t kAnyWork = std::numeric_limits<size_t>::max();

}  // namespace llm

namespace llm::constraint {

/// The work that the caller allowed was not enough; nothing has changed.
struct MoreWorkNeeded : std::exception {
  const char* what() const noexcept override { return "grammar: more work is needed"; }
};

/// One place in a grammar with its stack, for itself. `words`: the number of frames, then (frame
/// below, step, count) of each, those below first; then (step, frame) of each way. Frame 0 is the
/// bottom, the first one listed is 1.
struct StackSet {
  std::vector<uint32_t> words;
  bool accepting = false;  // the text may end here
  bool open() const { return !words.empty() && words.size() > 1 + 3 * size_t{words[0]}; }
  bool operator==(const StackSet&) const = default;
};

/// Counters far from their limits for the next `reach` bytes are moved together: what can follow
/// within `reach` bytes is the same.
void forget_distant_counts(const Grammar& grammar, StackSet& set, uint32_t reach);

class StackWalker {
 public:
  explicit StackWalker(std::shared_ptr<const Grammar> grammar);

  static constexpr int32_t kDead = -1;

  /// Gives a fresh allowance of work, and forgets what was remembered where that grew large: states
  /// of before are invalid then.
  void refresh(size_t most_work = kAnyWork);
  /// Ways followed since.
  size_t work() const { return work_; }
  /// Whether the next refresh() would forget.
  bool large() const;

  int32_t start();
  int32_t load(const StackSet& set);
  StackSet save(int32_t state) const;

  /// The state after one more byte, or kDead.
  int32_t step(int32_t state, uint8_t byte) {
    const size_t slot = static_cast<size_t>(state) * grammar_->classes + grammar_->class_of[byte];
    return moves_[slot] != kUnknown ? moves_[slot] : compute_move(state, grammar_->class_of[byte]);
  }
  int32_t walk(int32_t state, std::string_view bytes);

  bool accepting(int32_t state) const { return states_[state].accepting; }
  bool open(int32_t state) const { return !states_[state].ways.empty(); }

  struct Way {
    uint32_t step;
    uint32_t frame;
    auto operator<=>(const Way&) const = default;
  };
  struct Frame {
    uint32_t below;
    uint32_t step;  // an Op::test: a counter; any other: where a call returns to
    uint32_t count;
    uint32_t depth;
  };
  std::span<const Way> ways(int32_t state) const { return states_[state].ways; }
  const Frame& frame(uint32_t index) const { return frames_[index]; }
  bool is_counter(const Frame& frame) const { return grammar_->steps[frame.step].op == Op::test; }
  /// The state of these ways before any byte, and of everything they lead to without one.
  int32_t state_of(std::span<const Way> ways);
  uint32_t push(uint32_t below, uint32_t step, uint32_t count);
  /// The highest stack that any way so far had or will need.
  uint32_t tallest() const { return tallest_; }

 private:
  static constexpr int32_t kUnknown = -2;
  struct State {
    std::vector<Way> ways;  // sorted, all at an Op::bytes
    bool accepting = false;
  };
  struct FrameKey {
    uint32_t below, step, count;
    bool operator==(const FrameKey&) const = default;
  };
  struct FrameHash {
    size_t operator()(const FrameKey& key) const;
  };

  int32_t compute_move(int32_t state, uint8_t byte_class);
  void follow(uint32_t step, uint32_t frame);
  void close();
  int32_t intern();
  bool first_visit(uint32_t step, uint32_t frame);
  bool visited(uint32_t step, uint32_t frame) const;
  void clear();

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Frame> frames_;  // 0 is the bottom
  std::unordered_map<FrameKey, uint32_t, FrameHash> frame_index_;
  std::vector<State> states_;
  std::unordered_multimap<uint64_t, int32_t> state_index_;  // hash of the ways
  std::vector<int32_t> moves_;                              // [state][class]
  uint32_t tallest_ = 0;
  size_t work_ = 0, most_work_ = kAnyWork;

  // The closure being computed.
  std::vector<Way> pending_, closed_;
  bool closed_accepting_ = false;
  std::vector<uint64_t> visited_;  // open addressing; step, frame
  std::vector<uint32_t> visited_round_;
  uint32_t round_ = 0;
  size_t visits_ = 0;
};

}  // namespace llm::constraint
