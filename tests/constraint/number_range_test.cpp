// Numbers between bounds: every one that may be written, and none else.
#include "serving/constraint/number_range.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/constraint/grammar_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

using constraint::GrammarBuilder;
using constraint::NumberBounds;
using nlohmann::ordered_json;

SharedGrammar range(bool whole, const ordered_json& least, const ordered_json& greatest,
                    bool exclusive = false) {
  const ordered_json* low = least.is_null() ? nullptr : &least;
  const ordered_json* high = greatest.is_null() ? nullptr : &greatest;
  const NumberBounds bounds = exclusive ? NumberBounds{nullptr, nullptr, low, high}
                                        : NumberBounds{low, high, nullptr, nullptr};
  GrammarBuilder builder;
  const auto root = builder.declare("root");
  builder.define(root, whole ? integer_grammar(builder, bounds) : number_grammar(builder, bounds));
  return builder.build(root);
}

/// Which of the texts -limit .. limit the grammar takes, walking each once.
void expect_exactly(const SharedGrammar& grammar, int least, int greatest, int limit) {
  constraint::StackWalker walker(grammar);
  for (int number = -limit; number <= limit; ++number) {
    const int32_t state = walker.walk(walker.start(), std::to_string(number));
    const bool taken = state != constraint::StackWalker::kDead && walker.accepting(state);
    ASSERT_EQ(taken, number >= least && number <= greatest)
        << number << " in " << least << " .. " << greatest;
  }
}

TEST(NumberRange, EveryRangeOfSmallWholeNumbersIsExact) {
  for (int least = -23; least <= 112; ++least) {
    for (int greatest = least; greatest <= 113; greatest += 1 + (greatest - least) / 9) {
      expect_exactly(range(true, least, greatest), least, greatest, 140);
    }
  }
}

TEST(NumberRange, RangesOfLargerWholeNumbersAreExact) {
  Random random(1);
  for (int i = 0; i < 40; ++i) {
    const int least = static_cast<int>(random.below(24'000)) - 12'000;
    const int greatest = least + static_cast<int>(random.below(12'000));
    expect_exactly(range(true, least, greatest), least, greatest, 12'500);
  }
}

TEST(NumberRange, HalfOpenAndExclusiveRangesOfWholeNumbers) {
  expect_exactly(range(true, 7, nullptr), 7, 1 << 30, 2000);
  expect_exactly(range(true, nullptr, -7), -(1 << 30), -7, 2000);
  expect_exactly(range(true, -3, 12, true), -2, 11, 200);
  expect_exactly(range(true, -2.5, 9.5, true), -2, 9, 200);
  expect_exactly(range(true, 1.5, 9.5), 2, 9, 200);
}

TEST(NumberRange, WholeNumbersHaveNoLeadingZerosAndNoMinusZero) {
  const auto grammar = range(true, -50, 50);
  for (const char* text : {"00", "01", "-0", "-01", "+1", "1.0", "1e1", ""}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(NumberRange, TheEndsOfSixtyFourBitsAreExact) {
  const auto grammar = range(true, INT64_MIN, UINT64_MAX);
  EXPECT_TRUE(matches(grammar, "-9223372036854775808"));
  EXPECT_FALSE(matches(grammar, "-9223372036854775809"));
  EXPECT_TRUE(matches(grammar, "18446744073709551615"));
  EXPECT_FALSE(matches(grammar, "18446744073709551616"));
}

TEST(NumberRange, DecimalsWithinBoundsAreTakenWithAndWithoutTrailingZeros) {
  const auto grammar = range(false, -1.25, 10.5);
  for (const char* text : {"-1.25", "-1.250", "-1", "-0.5", "0", "0.0", "0.001", "9.99999999", "10",
                           "10.5", "10.50"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text :
       {"-1.251", "-1.26", "-2", "10.51", "10.500001", "11", "1.", ".5", "1e0", "00.5", "--1"}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(NumberRange, ExclusiveDecimalBoundsAreNotReached) {
  const auto grammar = range(false, 0, 1, true);
  EXPECT_FALSE(matches(grammar, "0"));
  EXPECT_FALSE(matches(grammar, "0.0"));
  EXPECT_FALSE(matches(grammar, "1"));
  EXPECT_FALSE(matches(grammar, "1.0"));
  EXPECT_FALSE(matches(grammar, "-0.5"));
  EXPECT_TRUE(matches(grammar, "0.00000001"));
  EXPECT_TRUE(matches(grammar, "0.99999999"));
}

TEST(NumberRange, SampledDecimalsKeepTheBoundsAsDoubles) {
  const double kEnds[] = {-1e19, -1234.5678, -1, -0.1,    -1e-9, 0,          1e-300,
                          0.1,   0.3,        1,  2.0 / 3, 99.5,  1e15 + 0.5, 1e19};
  Random random(9);
  for (const double least : kEnds) {
    for (const double greatest : kEnds) {
      if (!(least < greatest) || greatest - least < 1e-6) continue;
      for (const bool exclusive : {false, true}) {
        const auto shared = with_bytes(range(false, least, greatest, exclusive));
        for (int i = 0; i < 4; ++i) {
          const std::string text = random_text(Constraint(shared), random, 20);
          const double value = std::strtod(text.c_str(), nullptr);
          EXPECT_TRUE(exclusive ? value > least && value < greatest
                                : value >= least && value <= greatest)
              << text << " in " << least << " .. " << greatest;
        }
      }
    }
  }
}

TEST(NumberRange, FarBoundsAreNoBoundsAndEmptyRangesAreRefused) {
  EXPECT_TRUE(matches(range(false, -1e308, 1e308), "-123456.75"));
  EXPECT_TRUE(matches(range(true, -1e30, nullptr), "-5"));
  expect_error([] { range(true, 1e21, nullptr); }, Exit::usage,
               "a bound beyond 1e20 is not supported");
  expect_error([] { range(true, 5, 5, true); }, Exit::usage, "no number lies between the bounds");
  expect_error([] { range(false, 1e-300, 2e-300); }, Exit::usage,
               "no number of at most 18 decimals lies between the bounds");
}

}  // namespace
}  // namespace llm
