// The grammars that were asked for last, each with its masks: a service whose requests all bring the
// same schema computes a mask once, not once per request.
//
// A grammar is known again by its compiled program, so by schemas that differ in spacing as well.
// Any number of threads at once.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "serving/constraint/constraint.h"

namespace llm {

class KeptGrammars {
 public:
  /// Keeps at most `most` grammars, of up to 512 masks (vocabulary / 8 bytes) each.
  explicit KeptGrammars(std::shared_ptr<const TokenVocabulary> vocabulary, size_t most = 16);

  /// The one that is equal to `grammar`, or a new one of it.
  std::shared_ptr<const TokenGrammar> find(const std::shared_ptr<const Grammar>& grammar);

 private:
  std::shared_ptr<const TokenGrammar> known(const Grammar& grammar);

  const std::shared_ptr<const TokenVocabulary> vocabulary_;
  const size_t most_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const TokenGrammar>> kept_;  // last used first
};

}  // namespace llm
