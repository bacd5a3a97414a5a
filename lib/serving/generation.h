// One request in flight, as the engine sees it: it says which tokens it wants read next and what it
// makes of the logits.
//
// Sampling one token at a time, speculation and beam search are Generations; the engine knows none
// of them. Between plan() and take() lies exactly one forward pass. A Generation has no thread of
// its own and is called by the engine's only.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "serving/decoder.h"
#include "serving/token_model.h"

namespace llm {

class SequenceSource;

class Generation {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~Generation() = default;

  /// It has nothing left to do but hand out its result.
  virtual bool finished() const = 0;
  /// Tokens that it has not read yet and must, before it can choose the next one.
  virtual int64_t pending_tokens() const = 0;
  /// The next pass only reads the newest tokens: it is due at every step.
  virtual bool decoding() const = 0;
  /// New tokens so far.
  virtual int64_t generated_tokens() const = 0;

  /// It cannot go on before work on its grammar is done, on another thread; plan() adds nothing, or
  /// not the last token.
  virtual bool waits() const { return false; }

  /// Adds what it wants read, at most `budget` tokens where it can be cut, with memory reserved.
  /// False: memory is exhausted; nothing was added. May finish or wait instead, and add nothing.
  virtual bool plan(int64_t budget, SequenceSource& source, std::vector<TokenSegment>& pass) = 0;
  /// The logits of what was planned, row after row.
  virtual void take(std::span<const float> logits) = 0;
  /// Lets all memory go; what was read will be read again.
  virtual void preempt() = 0;
  virtual void finish(FinishReason reason, std::string_view error = {}) = 0;
  /// The sequence whose blocks later requests may begin with, and its tokens; null if none.
  virtual const TokenSequence* sequence() const { return nullptr; }
  virtual std::span<const int32_t> tokens() const { return {}; }

  virtual bool cancelled() const = 0;
  /// Who reads the text has enough to read.
  virtual bool held() const = 0;
  virtual GenerationResult release() = 0;
};

/// Where a Generation gets its sequences from.
class SequenceSource {
 public:
  virtual ~SequenceSource() = default;
  /// A sequence for `tokens`, computed with `adapter` (null: none), which may begin with what
  /// others have read (never all of `tokens`; nothing if not `share`). capacity: what it may come
  /// to hold.
  virtual std::unique_ptr<TokenSequence> start(std::span<const int32_t> tokens, int64_t capacity,
                                               bool share, const ModelAdapterPtr& adapter) = 0;
};

}  // namespace llm
