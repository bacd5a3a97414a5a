// Ways through a grammar: states, saved stacks, counters.
#include "serving/constraint/stack_walker.h"

#include <gtest/gtest.h>

#include "serving/constraint/gbnf.h"

namespace llm::constraint {
namespace {

TEST(StackWalker, EqualPlacesAreOneState) {
  StackWalker walker(parse_gbnf(R"g(root ::= ("a" | "b")* "c")g"));
  const int32_t start = walker.start();
  EXPECT_EQ(walker.walk(start, "abba"), walker.walk(start, "a"));
  EXPECT_EQ(walker.walk(start, "x"), StackWalker::kDead);
  const int32_t end = walker.walk(start, "ac");
  EXPECT_TRUE(walker.accepting(end));
  EXPECT_FALSE(walker.open(end));
}

TEST(StackWalker, ASavedPlaceGoesOnInAnotherWalker) {
  const auto grammar =
      parse_gbnf(R"g(root ::= "(" root ")" root | "[" ("x" root){2,90} "]" | "")g");
  StackWalker one(grammar), other(grammar);
  other.walk(other.start(), "((((");  // other numbers for the same stacks
  const std::string begin = "(([x(", rest = ")x]))";
  const StackSet saved = one.save(one.walk(one.start(), begin));
  EXPECT_TRUE(saved.open());
  const int32_t loaded = other.load(saved);
  EXPECT_EQ(other.save(loaded), saved);
  EXPECT_TRUE(other.accepting(other.walk(loaded, rest)));
  EXPECT_EQ(other.walk(loaded, "]"), StackWalker::kDead);
}

TEST(StackWalker, AnEmptyStackSetIsTheStart) {
  StackWalker walker(parse_gbnf(R"(root ::= "a")"));
  EXPECT_EQ(walker.load({}), walker.start());
}

TEST(StackWalker, DistantCountsAreForgottenAndNearOnesKept) {
  const auto grammar = parse_gbnf(R"g(root ::= ([ab] "c"?){100,200})g");
  StackWalker walker(grammar);
  const auto place = [&](size_t count, uint32_t reach) {
    StackSet set = walker.save(walker.walk(walker.start(), std::string(count, 'a')));
    forget_distant_counts(*grammar, set, reach);
    return set;
  };
  EXPECT_EQ(place(5, 10), place(70, 10));
  EXPECT_NE(place(5, 10), place(95, 10));
  EXPECT_EQ(place(120, 10), place(150, 10));
  EXPECT_NE(place(120, 10), place(195, 10));
  EXPECT_NE(place(5, 10), place(120, 10));
  EXPECT_NE(place(95, 10), place(96, 10));
}

TEST(StackWalker, EmptyRoundsDoNotCount) {
  const auto grammar = parse_gbnf(R"g(root ::= ("a"? "b"?){1000000} "c")g");
  StackWalker walker(grammar);
  EXPECT_TRUE(walker.accepting(walker.walk(walker.start(), "c")));
  EXPECT_TRUE(walker.accepting(walker.walk(walker.start(), "abbabac")));
}

TEST(StackWalker, RefreshForgetsOnlyWhatGrewLarge) {
  StackWalker walker(parse_gbnf(R"g(root ::= "(" root ")" | "x")g"));
  const int32_t before = walker.walk(walker.start(), "((");
  walker.refresh();
  EXPECT_EQ(walker.walk(walker.start(), "(("), before);
}

}  // namespace
}  // namespace llm::constraint
