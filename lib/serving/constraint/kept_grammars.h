// The grammars that were asked for last, each with its masks: a service whose requests all bring
// the same schema computes a mask once, not once per request.
//
// A grammar is known again by its compiled program, so by schemas that differ in spacing as well.
// Any number of threads at once.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "serving/constraint/constraint.h"
#include "serving/constraint/lru_cache.h"

namespace llm {

class KeptGrammars {
 public:
  /// Keeps at most `most` grammars, of up to 512 masks (vocabulary / 8 bytes) each.
  explicit KeptGrammars(std::shared_ptr<const TokenVocabulary> vocabulary, size_t most = 16);

  /// The one that is equal to `grammar`, or a new one of it.
  std::shared_ptr<const TokenGrammar> find(const std::shared_ptr<const Grammar>& grammar);

 private:
  struct Program {
    std::shared_ptr<const Grammar> grammar;
    bool operator==(const Program& other) const { return *grammar == *other.grammar; }
  };
  struct ProgramHash {
    size_t operator()(const Program& program) const;
  };

  const std::shared_ptr<const TokenVocabulary> vocabulary_;
  std::mutex mutex_;
  constraint::LruCache<Program, std::shared_ptr<const TokenGrammar>, ProgramHash> kept_;
};

}  // namespace llm
