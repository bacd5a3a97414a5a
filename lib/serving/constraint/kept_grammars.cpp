#include "serving/constraint/kept_grammars.h"

#include <utility>

namespace llm {

size_t KeptGrammars::ProgramHash::operator()(const Program& program) const {
  uint64_t hash = program.grammar->steps.size();
  for (const constraint::Step& step : program.grammar->steps) {
    hash = mix64(hash ^ static_cast<uint64_t>(step.op));
    hash = mix64(hash ^ (static_cast<uint64_t>(step.a) << 32 | step.b));
  }
  return hash;
}

KeptGrammars::KeptGrammars(std::shared_ptr<const TokenVocabulary> vocabulary, size_t most)
    : vocabulary_(std::move(vocabulary)), kept_(most) {}

std::shared_ptr<const TokenGrammar> KeptGrammars::find(
    const std::shared_ptr<const Grammar>& grammar) {
  const Program program{grammar};
  {
    const std::lock_guard lock(mutex_);
    if (const auto* found = kept_.find(program)) return *found;
  }
  auto fresh = std::make_shared<const TokenGrammar>(grammar, vocabulary_);  // takes its time
  const std::lock_guard lock(mutex_);
  if (const auto* found = kept_.find(program)) return *found;  // another thread was quicker
  kept_.insert(program, fresh);
  return fresh;
}

}  // namespace llm
