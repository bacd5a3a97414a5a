// The built-in story corpus: short stories drawn from a seeded probabilistic grammar whose exact
// entropy is known, so that a training run on it can be judged against the best loss that any model
// can reach.
//
// A story introduces a character (and often a friend), an object and places, and refers back to
// them later by name, pronoun and noun. Every word that varies is one explicit choice with a known
// probability, and no two different sequences of choices give the same text; therefore
//   p(story) = product of its choice probabilities,   nats(story) = -ln p,   entropy = expected
//   nats per story, computed exactly over the grammar.
//
// Stories are a pure function of (seed, index). Thread-safe: const after construction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "data/story_grammar.h"

namespace llm {

struct Story {
  std::string text;  // one line of ASCII, no newline
  double nats = 0;   // -ln p(text)
};

class StoryCorpus {
 public:
  explicit StoryCorpus(uint64_t seed);

  Story story(int64_t index) const;
  /// Exact expectations per story: nats is the entropy.
  const GrammarMoments& expected() const;
  /// -ln p of a text, found by parsing it; nothing if the grammar cannot produce it.
  std::optional<double> nats_of(std::string_view text) const;
  /// Pulls the texts of stories [first, first + count): false when done (the shape that tokenizer
  /// training reads).
  std::function<bool(std::string&)> stream(int64_t first, int64_t count) const;

 private:
  uint64_t seed_;
};

}  // namespace llm
