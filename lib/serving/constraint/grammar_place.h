// The place of one text in its grammar and the mask of that place, worked out ahead of their use.
//
// Both take microseconds with the grammars that people write, but half a second is legal: a choice
// of ten thousand words at one place. Whoever serves other texts meanwhile (the engine) cannot wait
// for that. So what is not done after a little work is left to a ConstraintThread, and ready()
// tells when it is there; the result is the same. A place does not change: after() gives the next
// one, and may be asked for several (beams).
//
// Threads: for one thread, which must outlive neither the ConstraintThread nor what it was given.
// The errors of mask() and accept() (constraint.h) are thrown where their results are asked for.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>

#include "serving/constraint/constraint.h"

namespace llm {

class ConstraintThread;
class GrammarPlace;
using GrammarPlacePtr = std::shared_ptr<GrammarPlace>;

class GrammarPlace : public std::enable_shared_from_this<GrammarPlace> {
 public:
  /// Keeps a reference to the thread. Usage error where the grammar's vocabulary has tokens that a
  /// model of `vocab_size` does not know.
  static GrammarPlacePtr start(const Constraint& constraint, int64_t vocab_size,
                               ConstraintThread& thread);
  /// Where the text is after one more token; with ready().
  GrammarPlacePtr after(int32_t id) const;
  /// Has the mask worked out.
  void want_mask();

  /// What was asked for is there.
  bool ready() const { return open_.load(std::memory_order_acquire) == 0; }
  /// With ready().
  const Constraint& constraint() const;
  const TokenMask& mask() const;

  /// What has to be done is done by start(), after(), want_mask() themselves up to so many ways
  /// followed, which is about a millisecond.
  static constexpr size_t kLittleWork = 10'000;

 private:
  enum class Work { move, mask };

  GrammarPlace(const Constraint& constraint, ConstraintThread& thread)
      : constraint_(constraint), thread_(thread) {}
  void attempt(Work work);
  void run(Work work, size_t most_work);

  Constraint constraint_;
  ConstraintThread& thread_;
  int32_t id_ = -1;  // by which it is reached
  std::shared_ptr<const TokenMask> mask_;
  std::exception_ptr error_;
  std::atomic<int> open_ = 0;  // jobs of the thread
};

}  // namespace llm
