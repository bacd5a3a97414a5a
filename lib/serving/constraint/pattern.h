// Regular expressions of JSON schemas (`pattern`) as grammars of JSON strings.
//
// The regular part of ECMA-262 with the u flag: characters, ., classes with ranges and \d \w \s \D
// \W \S, groups (also named and non-capturing), |, * + ? {n} {n,} {n,m} and their lazy forms,
// escapes \t \n \r \f \v \0 \xHH \uHHHH \u{H...} and escaped punctuation, ^ at the beginning and $
// at the end of the pattern or of one of its outermost alternatives. As in JSON Schema a pattern
// without ^ may begin, and one without $ may end, with any text. Every character is spelled in one
// way: raw, or escaped where JSON requires it.
//
// Refused by name (Error(Exit::usage), "pattern: back references are not supported at offset 5"):
// back references, look-around, \b, \B, \p, anchors elsewhere.
#pragma once

#include <cstdint>
#include <string_view>

#include "serving/constraint/json_parts.h"

namespace llm::constraint {

struct PatternLengths {
  uint32_t min = 0;  // characters; what minLength and maxLength ask for
  uint32_t max = kUnbounded;
};

/// What stands between the quotes. `lengths` can be kept where the pattern implies them or repeats
/// one character class; otherwise they are refused.
Expr pattern_grammar(GrammarBuilder& builder, JsonParts& json, std::string_view pattern,
                     PatternLengths lengths = {});

}  // namespace llm::constraint
