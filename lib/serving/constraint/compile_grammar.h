// From the parts of a GrammarBuilder to the program of a Grammar.
//
// Parts are compiled from back to front, each knowing the step that follows it, so that equal ends
// become equal steps. Alternatives that are plain texts (the values of an enum, the keys of an
// object) become a prefix tree. Short repetitions are written out, longer ones count. Pure
// functions; errors as in grammar_builder.h.
#pragma once

#include <memory>

#include "serving/constraint/grammar_builder.h"

namespace llm::constraint {

std::shared_ptr<const Grammar> compile_grammar(const GrammarBuilder& builder, RuleId root);

/// Part of compile_grammar: which bodies of loops may be empty, no left recursion, room of every
/// step. `subject` begins messages.
void analyse_grammar(Grammar& grammar, const std::string& subject);

}  // namespace llm::constraint
