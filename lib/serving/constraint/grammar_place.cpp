#include "serving/constraint/grammar_place.h"

#include "base/error.h"
#include "serving/constraint/constraint_thread.h"

namespace llm {

GrammarPlacePtr GrammarPlace::start(const Constraint& constraint, int64_t vocab_size,
                                    ConstraintThread& thread) {
  const auto words = static_cast<size_t>((vocab_size + 31) / 32);
  check(constraint.vocabulary().mask_words() <= words,
        "grammar: the tokenizer has {} tokens, the model knows {}", constraint.vocabulary().size(),
        vocab_size);
  return GrammarPlacePtr(new GrammarPlace(constraint, thread));
}

GrammarPlacePtr GrammarPlace::after(int32_t id) const {
  const GrammarPlacePtr next(new GrammarPlace(constraint(), thread_));
  next->id_ = id;
  next->attempt(Work::move);
  return next;
}

void GrammarPlace::want_mask() { attempt(Work::mask); }

void GrammarPlace::attempt(Work work) {
  if (ready() && constraint_.size() <= kLittleWork) {
    try {
      return run(work, kLittleWork);
    } catch (const constraint::MoreWorkNeeded&) {
    }
  }
  open_.fetch_add(1, std::memory_order_relaxed);
  // (Where nobody waits for the place any more, nothing is done.)
  thread_.post([weak = weak_from_this(), work] {
    const GrammarPlacePtr place = weak.lock();
    if (!place) return;
    place->run(work, kAnyWork);
    place->open_.fetch_sub(1, std::memory_order_release);
  });
}

void GrammarPlace::run(Work work, size_t most_work) {
  if (error_) return;
  try {
    if (work == Work::move) {
      constraint_.accept(id_, most_work);
    } else {
      mask_ = constraint_.mask(most_work);
    }
  } catch (const constraint::MoreWorkNeeded&) {
    throw;
  } catch (...) {
    error_ = std::current_exception();
  }
}

const Constraint& GrammarPlace::constraint() const {
  if (error_) std::rethrow_exception(error_);
  return constraint_;
}

const TokenMask& GrammarPlace::mask() const {
  constraint();  // throws what the work did
  return *mask_;
}

}  // namespace llm
