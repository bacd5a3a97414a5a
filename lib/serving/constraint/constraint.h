// Which tokens may come next, so that a text keeps to a grammar.
//
// A `Grammar` says what texts are allowed, a `TokenVocabulary` what bytes each token adds; a
// `TokenGrammar` is the two together and is shared by all sequences that use them (a server keeps
// it for the next request of the same schema: kept_grammars.h). A `Constraint` is the place of one
// sequence:
//
//   const auto shared = std::make_shared<const TokenGrammar>(grammar, vocabulary);
//   Constraint constraint(shared);
//   every step:  constraint.mask(bits);  apply_mask(logits, bits);  ... draw id ...
//                constraint.accept(id);
//
// The law: a bit is set exactly where the token's bytes, taken one by one, keep the text on a way
// that can be completed, and for end-of-text ids exactly where the text may end. Masks are kept for
// the places met most recently; equal places of different sequences share one.
//
// A place where nothing is allowed exists only where the vocabulary lacks the tokens to go on
// (a grammar that asks for "é" and a vocabulary without any piece of it): mask() is then 0 and the
// sequence has to stop there. The sequence is not complete: may_end() is false.
//
// Threads: Grammar, TokenVocabulary and TokenGrammar may be used by any number of threads at once.
// A Constraint belongs to one sequence; copies are cheap (the stack as it stands, and a pointer)
// and independent, for beams and speculation. Errors: Error(Exit::usage) "grammar: more than 65536
// live stacks at one place" and "grammar: too ambiguous, ..." from mask() and accept(), for
// grammars that explode; the sequence ends with them. Who allows less work than the grammar does
// gets constraint::MoreWorkNeeded instead, and nothing changes (grammar_place.h does the rest).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "serving/constraint/grammar.h"
#include "serving/constraint/stack_walker.h"
#include "serving/constraint/token_vocabulary.h"

namespace llm {

struct TokenMask {
  std::vector<uint32_t> bits;  // token id is bit id % 32 of word id / 32
  size_t allowed = 0;          // bits set
  bool allows(int32_t id) const { return bits[id / 32] >> (id % 32) & 1; }
};

class TokenGrammar {
 public:
  /// Keeps the masks of the last `kept_masks` places (vocabulary / 8 bytes each).
  TokenGrammar(std::shared_ptr<const Grammar> grammar,
               std::shared_ptr<const TokenVocabulary> vocabulary, size_t kept_masks = 512);
  ~TokenGrammar();
  TokenGrammar(const TokenGrammar&) = delete;
  TokenGrammar& operator=(const TokenGrammar&) = delete;

  const TokenVocabulary& vocabulary() const { return *vocabulary_; }
  const constraint::StackSet& start() const { return start_; }
  std::shared_ptr<const TokenMask> mask(const constraint::StackSet& place,
                                        size_t most_work = kAnyWork) const;
  /// Moves `place` on; false, and nothing moved, where the bytes do not fit.
  bool advance(constraint::StackSet& place, std::string_view bytes,
               size_t most_work = kAnyWork) const;

  struct Counts {
    uint64_t masks_computed = 0;
    uint64_t masks_found = 0;
  };
  Counts counts() const;

 private:
  struct Shared;  // caches and walkers behind a mutex
  class Lease;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  constraint::StackSet start_;
  std::unique_ptr<Shared> shared_;
};

class Constraint {
 public:
  explicit Constraint(std::shared_ptr<const TokenGrammar> source);

  /// The mask of this place. After the end nothing is allowed.
  std::shared_ptr<const TokenMask> mask(size_t most_work = kAnyWork) const;

  /// Takes the token; false, and nothing changes, where it is not allowed.
  bool accept(int32_t id, size_t most_work = kAnyWork);
  /// The same for text that did not come as tokens (a prefix given by the caller).
  bool accept_bytes(std::string_view bytes, size_t most_work = kAnyWork);
  /// Whether accept() would take it.
  bool accepts(int32_t id) const;
  bool accepts_bytes(std::string_view bytes) const;

  /// The text so far is complete: an end-of-text id is allowed.
  bool may_end() const { return !ended_ && place_.accepting; }
  /// Complete, and nothing but the end can follow.
  bool must_end() const { return may_end() && !place_.open(); }
  /// An end-of-text id was accepted.
  bool ended() const { return ended_; }

  const TokenVocabulary& vocabulary() const { return source_->vocabulary(); }
  /// Numbers that the place is written down with: accept() and mask() read them all.
  size_t size() const { return place_.words.size(); }

 private:
  std::shared_ptr<const TokenGrammar> source_;
  constraint::StackSet place_;
  bool ended_ = false;
};

/// logits[id] = -inf for every id without its bit; ids past the last word as well.
void apply_mask(std::span<float> logits, std::span<const uint32_t> bits);

}  // namespace llm
