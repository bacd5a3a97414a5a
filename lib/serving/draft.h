// Guesses of the next tokens, for speculation.
//
// A drafter proposes, the model checks all proposals in one pass and keeps those that are what it
// would have drawn itself: with the same seed, the text is the same with and without (a stronger
// promise than an equal distribution, and it holds for any drafter). That costs a draft model
// nothing where it draws with the same random numbers as the model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "serving/generation_config.h"

namespace llm {

class TokenModel;

/// Belongs to one sequence.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// At most `count` tokens that may follow `tokens` (prompt and new ones).
  virtual std::vector<int32_t> draft(std::span<const int32_t> tokens, int64_t count) = 0;
};

/// Prompt lookup: what followed the most recent earlier occurrence of the last `longest` .. 1
/// tokens. Costs no model.
std::unique_ptr<Drafter> make_ngram_drafter(int64_t longest = 3);

/// A smaller model of the same vocabulary that draws as the request's sampler does.
std::unique_ptr<Drafter> make_model_drafter(const TokenModel& model, FrozenGenerationConfig config,
                                            int64_t sequence);

/// A model that fills mask tokens behind the text, `at_once` at most in a pass (parallel draft).
/// tokens: ids from there on are not guessed (GenerationLimits); 0 = all are.
std::unique_ptr<Drafter> make_parallel_drafter(const TokenModel& model, int32_t mask_id,
                                               int64_t at_once = 64, int64_t tokens = 0);

}  // namespace llm
