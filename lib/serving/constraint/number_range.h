// Numbers between two bounds, as a grammar over their digits.
//
// Whole numbers come without leading zeros and without "-0"; other numbers without exponent and
// with at most as many decimals as the bounds have (8 or more, 18 at most). Without a bound on one
// side they have at most 18 digits before the point, more only where the other bound needs it. What
// is written reads back as a double that keeps the bounds. Pure functions; bounds beyond 10^20 on
// the far side are no bounds, on the near side they are refused: Error(Exit::usage) "a bound beyond
// 1e20", "no number lies between the bounds".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "serving/constraint/grammar_builder.h"

namespace llm::constraint {

struct NumberBounds {
  const nlohmann::ordered_json* minimum = nullptr;  // JSON numbers, or nullptr
  const nlohmann::ordered_json* maximum = nullptr;
  const nlohmann::ordered_json* exclusive_minimum = nullptr;
  const nlohmann::ordered_json* exclusive_maximum = nullptr;
  bool any() const { return minimum || maximum || exclusive_minimum || exclusive_maximum; }
};

Expr integer_grammar(GrammarBuilder& builder, const NumberBounds& bounds);
Expr number_grammar(GrammarBuilder& builder, const NumberBounds& bounds);

}  // namespace llm::constraint
