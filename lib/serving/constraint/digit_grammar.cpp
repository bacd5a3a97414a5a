#include "serving/constraint/digit_grammar.h"

#include <fmt/format.h>

#include <algorithm>

namespace llm::constraint {
namespace {

std::string digits_of(Wide value) { return fmt::format("{}", value); }

std::string padded(Wide value, size_t digits) {
  const std::string text = digits_of(value);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

}  // namespace

Wide power_of_ten(size_t exponent) {
  Wide power = 1;
  for (size_t i = 0; i < exponent; ++i) power *= 10;
  return power;
}

Expr DigitWriter::whole(Wide least, Wide greatest) {
  const std::string a = digits_of(least), b = digits_of(greatest);
  if (a.size() == b.size()) return between(a, b);
  std::vector<Expr> ways{between(a, std::string(a.size(), '9'))};
  if (b.size() - a.size() > 1) {
    ways.push_back(builder_.sequence({digit('1', '9'), any(a.size(), b.size() - 2)}));
  }
  ways.push_back(between("1" + std::string(b.size() - 1, '0'), b));
  return builder_.choice(std::move(ways));
}

Expr DigitWriter::decimal(Wide least, Wide greatest, size_t decimals) {
  const Wide unit = power_of_ten(decimals);
  const Wide a = least / unit, b = greatest / unit;
  const std::string from = padded(least % unit, decimals), to = padded(greatest % unit, decimals);
  const std::string zeros(decimals, '0'), nines(decimals, '9');
  if (a == b) return builder_.sequence({builder_.literal(digits_of(a)), fraction(from, to)});
  std::vector<Expr> ways{
      builder_.sequence({builder_.literal(digits_of(a)), fraction(from, nines)})};
  if (b - a > 1) ways.push_back(builder_.sequence({whole(a + 1, b - 1), fraction(zeros, nines)}));
  ways.push_back(builder_.sequence({builder_.literal(digits_of(b)), fraction(zeros, to)}));
  return builder_.choice(std::move(ways));
}

Expr DigitWriter::digit(char first, char last) {
  return builder_.characters({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}});
}
Expr DigitWriter::any(size_t min, size_t max) {
  return builder_.repeat(digit('0', '9'), static_cast<uint32_t>(min), static_cast<uint32_t>(max));
}

/// Texts of equal length from a to b.
Expr DigitWriter::between(std::string_view a, std::string_view b) {
  if (a.empty()) return builder_.literal("");
  if (a.find_first_not_of('0') == std::string_view::npos &&
      b.find_first_not_of('9') == std::string_view::npos) {
    return any(a.size(), a.size());
  }
  const std::string zeros(a.size() - 1, '0'), nines(a.size() - 1, '9');
  if (a[0] == b[0]) {
    return builder_.sequence({builder_.literal(a.substr(0, 1)), between(a.substr(1), b.substr(1))});
  }
  std::vector<Expr> ways{
      builder_.sequence({builder_.literal(a.substr(0, 1)), between(a.substr(1), nines)})};
  if (b[0] - a[0] > 1) {
    ways.push_back(
        builder_.sequence({digit(static_cast<char>(a[0] + 1), static_cast<char>(b[0] - 1)),
                           any(a.size() - 1, a.size() - 1)}));
  }
  ways.push_back(
      builder_.sequence({builder_.literal(b.substr(0, 1)), between(zeros, b.substr(1))}));
  return builder_.choice(std::move(ways));
}

/// A point and decimals from a to b (equal length), or nothing where a is zero; zeros at the end
/// may be left out.
Expr DigitWriter::fraction(const std::string& a, const std::string& b) {
  const bool zero = a.find_first_not_of('0') == std::string::npos;
  const Expr written = builder_.sequence({builder_.literal("."), decimals(a, b, true)});
  return zero ? builder_.optional(written) : written;
}

/// What is left out counts as zeros; `first` forbids to leave out everything.
Expr DigitWriter::decimals(std::string_view a, std::string_view b, bool first) {
  if (a.empty()) return builder_.literal("");
  const bool from_zero = a.find_first_not_of('0') == std::string_view::npos;
  if (from_zero && b.find_first_not_of('9') == std::string_view::npos) {
    return any(first ? 1 : 0, a.size());
  }
  const std::string zeros(a.size() - 1, '0'), nines(a.size() - 1, '9');
  std::vector<Expr> ways;
  if (a[0] == b[0]) {
    ways.push_back(builder_.sequence(
        {builder_.literal(a.substr(0, 1)), decimals(a.substr(1), b.substr(1), false)}));
  } else {
    ways.push_back(
        builder_.sequence({builder_.literal(a.substr(0, 1)), decimals(a.substr(1), nines, false)}));
    if (b[0] - a[0] > 1) {
      ways.push_back(builder_.sequence(
          {digit(static_cast<char>(a[0] + 1), static_cast<char>(b[0] - 1)), any(0, a.size() - 1)}));
    }
    ways.push_back(
        builder_.sequence({builder_.literal(b.substr(0, 1)), decimals(zeros, b.substr(1), false)}));
  }
  const Expr written = builder_.choice(std::move(ways));
  return from_zero && !first ? builder_.optional(written) : written;
}

}  // namespace llm::constraint
