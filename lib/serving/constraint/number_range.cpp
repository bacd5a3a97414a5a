#include "serving/constraint/number_range.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "serving/constraint/digit_grammar.h"

namespace llm::constraint {
namespace {

using nlohmann::ordered_json;

constexpr double kFarBound = 1e20;
constexpr size_t kWholeDigits = 18;
constexpr size_t kLeastDecimals = 8;
constexpr size_t kMostDecimals = 18;

/// The shortest decimal notation that reads back as the number: sign, digits, and how many of the
/// digits are decimals (negative: zeros that follow).
struct Decimal {
  bool negative = false;
  std::string digits;
  int decimals = 0;
};

Decimal decimal_of(const ordered_json& number) {
  const std::string text =
      number.is_number_float() ? fmt::format("{}", number.get<double>()) : number.dump();
  Decimal decimal;
  const size_t exponent_at = text.find('e');
  bool past_point = false;
  for (const char c : std::string_view(text).substr(0, exponent_at)) {
    if (c == '-') decimal.negative = true;
    if (c == '.') past_point = true;
    if (c < '0' || c > '9') continue;
    decimal.digits += c;
    decimal.decimals += past_point;
  }
  if (exponent_at != std::string::npos) decimal.decimals -= std::stoi(text.substr(exponent_at + 1));
  while (decimal.decimals > 0 && decimal.digits.size() > 1 && decimal.digits.back() == '0') {
    decimal.digits.pop_back();
    --decimal.decimals;
  }
  return decimal;
}

/// The number times 10^decimals, rounded up or down. |number| < 10^20, decimals <= 18.
Wide scaled(const ordered_json& number, size_t decimals, bool up) {
  const Decimal decimal = decimal_of(number);
  const int dropped = decimal.decimals - static_cast<int>(decimals);
  Wide value = 0;
  bool rest = false;
  const auto kept = static_cast<ptrdiff_t>(decimal.digits.size()) - std::max(dropped, 0);
  for (ptrdiff_t i = 0; i < static_cast<ptrdiff_t>(decimal.digits.size()); ++i) {
    if (i < kept) {
      value = value * 10 + (decimal.digits[static_cast<size_t>(i)] - '0');
    } else {
      rest |= decimal.digits[static_cast<size_t>(i)] != '0';
    }
  }
  for (int i = dropped; i < 0; ++i) value *= 10;
  if (decimal.negative) value = -value;
  if (rest && up && !decimal.negative) ++value;
  if (rest && !up && decimal.negative) --value;
  return value;
}

struct Ends {
  std::optional<Wide> least, greatest;  // both may be taken; times 10^decimals
};

/// One side of the bounds; `sign` 1 for the lower, -1 for the upper.
class Side {
 public:
  Side(const ordered_json* inclusive, const ordered_json* exclusive, int sign, bool whole)
      : sign_(sign), whole_(whole) {
    keep(inclusive, false);
    keep(exclusive, true);
  }

  size_t decimals() const {
    int most = 0;
    for (const Bound& bound : bounds_) most = std::max(most, decimal_of(bound.number).decimals);
    return static_cast<size_t>(most);
  }

  std::optional<Wide> end(size_t decimals) const {
    std::optional<Wide> tightest;
    for (const Bound& bound : bounds_) {
      Wide value = scaled(bound.number, decimals, sign_ > 0);
      if (bound.exclusive && whole_ && value == scaled(bound.number, decimals, sign_ < 0)) {
        value += sign_;
      }
      if (!tightest || (sign_ > 0 ? value > *tightest : value < *tightest)) tightest = value;
    }
    return tightest;
  }

 private:
  struct Bound {
    ordered_json number;
    bool exclusive;
  };

  void keep(const ordered_json* number, bool exclusive) {
    if (number == nullptr) return;
    const double value = number->get<double>();
    check(value * sign_ < kFarBound, "a bound beyond 1e20 is not supported");
    if (value * sign_ <= -kFarBound) return;
    if (exclusive && !whole_) {  // the next double can be reached
      bounds_.push_back({std::nextafter(value, sign_ * HUGE_VAL), false});
    } else {
      bounds_.push_back({*number, exclusive});
    }
  }

  int sign_;
  bool whole_;
  std::vector<Bound> bounds_;
};

/// The part below zero with its sign, and the part from zero on.
template <typename Magnitudes>
Expr signed_range(GrammarBuilder& builder, Wide least, Wide greatest, Wide smallest_negative,
                  const Magnitudes& magnitudes) {
  std::vector<Expr> ways;
  if (least < 0) {
    const Wide from = greatest < 0 ? -greatest : smallest_negative;
    ways.push_back(builder.sequence({builder.literal("-"), magnitudes(from, -least)}));
  }
  if (greatest >= 0) ways.push_back(magnitudes(std::max<Wide>(least, 0), greatest));
  return builder.choice(std::move(ways));
}

/// Ends where there are none: as many digits as the other end needs.
void fill_ends(Ends& ends, size_t decimals) {
  const Wide plain = power_of_ten(kWholeDigits + decimals) - 1;
  const auto reach = [&](const std::optional<Wide>& other) {
    Wide end = plain;
    while (other && (*other > end || -*other > end)) end = end * 10 + 9;
    return end;
  };
  const Wide down = reach(ends.greatest), up = reach(ends.least);
  if (!ends.least) ends.least = -down;
  if (!ends.greatest) ends.greatest = up;
}

}  // namespace

Expr integer_grammar(GrammarBuilder& builder, const NumberBounds& bounds) {
  Ends ends{Side(bounds.minimum, bounds.exclusive_minimum, 1, true).end(0),
            Side(bounds.maximum, bounds.exclusive_maximum, -1, true).end(0)};
  fill_ends(ends, 0);
  check(*ends.least <= *ends.greatest, "no number lies between the bounds");
  DigitWriter digits(builder);
  return signed_range(builder, *ends.least, *ends.greatest, 1,
                      [&](Wide a, Wide b) { return digits.whole(a, b); });
}

Expr number_grammar(GrammarBuilder& builder, const NumberBounds& bounds) {
  if (!bounds.any()) {
    const auto digits = [&](uint32_t min, uint32_t max) {
      return builder.repeat(builder.characters({{'0', '9'}}), min, max);
    };
    const Expr whole = builder.choice(
        {builder.literal("0"),
         builder.sequence({builder.characters({{'1', '9'}}), digits(0, kWholeDigits - 1)})});
    const Expr fraction = builder.sequence({builder.literal("."), digits(1, kMostDecimals)});
    const Expr exponent = builder.sequence(
        {builder.characters({{'e', 'e'}, {'E', 'E'}}),
         builder.optional(builder.characters({{'+', '+'}, {'-', '-'}})), digits(1, 2)});
    return builder.sequence({builder.optional(builder.literal("-")), whole,
                             builder.optional(fraction), builder.optional(exponent)});
  }
  const Side lower(bounds.minimum, bounds.exclusive_minimum, 1, false);
  const Side upper(bounds.maximum, bounds.exclusive_maximum, -1, false);
  const size_t wanted = std::max({lower.decimals(), upper.decimals(), kLeastDecimals});
  const size_t decimals = std::min(wanted, kMostDecimals);
  Ends ends{lower.end(decimals), upper.end(decimals)};
  fill_ends(ends, decimals);
  check(*ends.least <= *ends.greatest, "no number {}lies between the bounds",
        wanted > kMostDecimals ? fmt::format("of at most {} decimals ", kMostDecimals) : "");
  DigitWriter digits(builder);
  return signed_range(builder, *ends.least, *ends.greatest, 0,
                      [&](Wide a, Wide b) { return digits.decimal(a, b, decimals); });
}

}  // namespace llm::constraint
