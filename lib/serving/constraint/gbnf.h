// Grammars as text, in llama.cpp's notation (GBNF).
//
//   root  ::= "yes" | "no" ws reason?          # a comment
//   reason ::= ( "because" [^\n"]{1,80} )+
//   ws    ::= [ \t\n]*
//
// A rule is `name ::= ...` and ends with its line; inside ( ) and after | it may go on in the next
// one. Names are letters, digits, - and _. Parts: "text", [class], [^class], . (any character), a
// name, ( group ), each with * + ? {n} {n,} {n,m}. Escapes in texts and classes: \n \r \t \\ \" \[
// \] \xHH \uHHHH \UHHHHHHHH, which stand for characters (\xE9 is é, two bytes). The text is matched
// by the rule `root` from its first to its last byte. Token references (<[1000]>, <think>) are not
// supported. Left recursion is refused.
//
// Pure functions. Throws Error(Exit::usage), "grammar: line 2 column 7: expected '::=' after 'ws'",
// and what GrammarBuilder throws.
#pragma once

#include <memory>
#include <string_view>

#include "serving/constraint/grammar.h"

namespace llm {

std::shared_ptr<const Grammar> parse_gbnf(std::string_view text, const GrammarLimits& limits = {});

}  // namespace llm
