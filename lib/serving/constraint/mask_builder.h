// Computes the mask of one place.
//
// Most of the work of a mask is the tokens that stay inside one rule, such as the text of a JSON
// string: they are the same wherever that rule is used. So a way with a wide choice of bytes is
// split at the end of its rule: `LocalTokens` are the tokens that fit up to there, computed once
// per step, and the branches of the vocabulary at which the rule may end; from those on the tokens
// are looked at with the real stack. A mask is the union over all ways. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "serving/constraint/stack_walker.h"
#include "serving/constraint/token_vocabulary.h"

namespace llm::constraint {

struct LocalTokens {
  std::vector<uint32_t> bits;
  std::vector<uint32_t> exits;  // branches of the vocabulary after which the rule may be over
  uint32_t tallest = 0;         // stack used by any of them
};
using LocalKey =
    std::vector<uint32_t>;  // step; step and count of each counter above the rule's own
using LocalCache = std::function<std::shared_ptr<const LocalTokens>(
    const LocalKey&, const std::function<LocalTokens()>&)>;

class MaskBuilder {
 public:
  MaskBuilder(std::shared_ptr<const Grammar> grammar,
              std::shared_ptr<const TokenVocabulary> vocabulary);

  StackWalker& walker() { return walker_; }
  /// Holds more than is worth keeping.
  bool large() const { return walker_.large() || local_walker_.large(); }

  /// The tokens that fit at `place`, without the end-of-text ids. `cache` finds or computes.
  std::vector<uint32_t> tokens_at(const StackSet& place, const LocalCache& cache, size_t most_work);

 private:
  void walk_branches(StackWalker& walker, int32_t state, size_t begin, size_t end,
                     std::vector<uint32_t>& bits, std::vector<uint32_t>* exits);
  bool add_local(StackWalker::Way way, const LocalCache& cache, std::vector<uint32_t>& bits);
  LocalTokens local_tokens(const LocalKey& key);

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  StackWalker walker_;
  StackWalker local_walker_;  // sees rules without what called them
  std::vector<int32_t> state_at_depth_;
  size_t most_work_ = 0, local_work_ = 0;  // of the mask
};

}  // namespace llm::constraint
