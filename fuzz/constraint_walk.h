// What the fuzz targets of grammars share: a short walk over masks, each checked against
// acceptance.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "serving/constraint/constraint.h"

inline llm::GrammarLimits fuzz_limits() {
  llm::GrammarLimits limits;
  limits.max_steps = 20'000;
  limits.max_live_stacks = 2000;
  limits.max_work_per_mask = 100'000;
  return limits;
}

inline std::shared_ptr<const llm::TokenVocabulary> fuzz_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"{\"", "\":", "\",\"", "\"}", "]]", "ab", "aa", "12", "é", "true", "null"}) {
    tokens.emplace_back(text);
  }
  tokens.emplace_back();
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const llm::TokenVocabulary>(tokens, std::span(&end, 1));
}

/// A grammar that explodes may throw; whatever it allows it must accept, and all bytes are tokens,
/// so some token is always allowed.
inline void walk_grammar(const std::shared_ptr<const llm::Grammar>& grammar, uint64_t seed) {
  static const auto vocabulary = fuzz_vocabulary();
  const auto shared = std::make_shared<const llm::TokenGrammar>(grammar, vocabulary);
  llm::Constraint constraint(shared);
  llm::Random random(seed);
  for (int step = 0; step < 24 && !constraint.ended(); ++step) {
    const auto mask = constraint.mask();
    if (mask->allowed == 0) std::abort();
    for (int probe = 0; probe < 8; ++probe) {
      const auto id = static_cast<int32_t>(random.below(vocabulary->size()));
      if (mask->allows(id) != constraint.accepts(id)) std::abort();
    }
    uint64_t nth = random.below(mask->allowed);
    for (int32_t id = 0;; ++id) {
      if (!mask->allows(id) || nth-- > 0) continue;
      if (!constraint.accept(id)) std::abort();
      break;
    }
  }
}
