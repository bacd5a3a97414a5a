#include "serving/constraint/kept_grammars.h"

#include <algorithm>
#include <utility>

namespace llm {

KeptGrammars::KeptGrammars(std::shared_ptr<const TokenVocabulary> vocabulary, size_t most)
    : vocabulary_(std::move(vocabulary)), most_(most) {}

std::shared_ptr<const TokenGrammar> KeptGrammars::known(const Grammar& grammar) {
  const auto place = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const auto& kept) { return kept->grammar() == grammar; });
  if (place == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, place);
  return kept_.front();
}

std::shared_ptr<const TokenGrammar> KeptGrammars::find(
    const std::shared_ptr<const Grammar>& grammar) {
  {
    const std::lock_guard lock(mutex_);
    if (auto found = known(*grammar)) return found;
  }
  auto fresh = std::make_shared<const TokenGrammar>(grammar, vocabulary_);  // takes its time
  const std::lock_guard lock(mutex_);
  if (auto found = known(*grammar)) return found;  // another thread was quicker
  kept_.push_front(fresh);
  if (kept_.size() > most_) kept_.pop_back();
  return fresh;
}

}  // namespace llm
