// Digits of numbers between two ends that are not below zero.
//
// Numbers are held as `Wide`: times 10^decimals, below 10^38. Both ends may be taken; no leading
// zeros. Pure but for the builder they write to.
#pragma once

#include <string>
#include <string_view>

#include "serving/constraint/grammar_builder.h"

namespace llm::constraint {

using Wide = __int128;

Wide power_of_ten(size_t exponent);

class DigitWriter {
 public:
  explicit DigitWriter(GrammarBuilder& builder) : builder_(builder) {}

  /// Whole numbers least .. greatest.
  Expr whole(Wide least, Wide greatest);
  /// Numbers of `decimals` decimals or fewer; the ends are times 10^decimals.
  Expr decimal(Wide least, Wide greatest, size_t decimals);

 private:
  Expr digit(char first, char last);
  Expr any(size_t min, size_t max);
  Expr between(std::string_view a, std::string_view b);
  Expr fraction(const std::string& a, const std::string& b);
  Expr decimals(std::string_view a, std::string_view b, bool first);

  GrammarBuilder& builder_;
};

}  // namespace llm::constraint
