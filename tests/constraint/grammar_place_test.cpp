#include "serving/constraint/grammar_place.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "serving/constraint/constraint_thread.h"
#include "tests/constraint/grammar_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

constexpr std::chrono::milliseconds kPatience(5);

void wait_for(const GrammarPlace& place, ConstraintThread& thread) {
  while (!place.ready()) thread.wait(kPatience);
}

/// Follows `text` with a mask at every byte, beside a Constraint that does its own work.
void expect_as_constraint(const SharedGrammar& grammar, std::string_view text,
                          ConstraintThread& thread) {
  Constraint expected(with_bytes(grammar));
  GrammarPlacePtr place = GrammarPlace::start(Constraint(with_bytes(grammar)), 257, thread);
  for (size_t i = 0;; ++i) {
    place->want_mask();
    wait_for(*place, thread);
    ASSERT_EQ(place->mask().bits, expected.mask()->bits) << i;
    ASSERT_EQ(place->constraint().may_end(), expected.may_end()) << i;
    ASSERT_EQ(place->constraint().must_end(), expected.must_end()) << i;
    if (i == text.size()) return;
    ASSERT_TRUE(expected.accept(static_cast<uint8_t>(text[i])));
    place = place->after(static_cast<uint8_t>(text[i]));
    if (i % 2 == 0) wait_for(*place, thread);  // else the mask is asked for while it moves
  }
}

SharedGrammar slow_grammar() {
  std::string text = "root ::= r{3}\nr ::= \"i\"";
  for (int i = 0; i < 4000; ++i) text += " | [a-h]{0," + std::to_string(i) + "} \"i\"";
  return parse_gbnf(text + "\n");
}

TEST(GrammarPlace, IsWhatAConstraintSaysWhoeverDoesTheWork) {
  ConstraintThread thread;
  expect_as_constraint(slow_grammar(), "abiichi", thread);
  EXPECT_GE(thread.posted(), 5u) << "all of that was little work";
}

TEST(GrammarPlace, UsualSchemasNeedNoThread) {
  ConstraintThread thread;
  const auto person = schema_of(R"({"type":"object","properties":{
      "name":{"type":"string","maxLength":40},"age":{"type":"integer","minimum":0,"maximum":150},
      "tags":{"type":"array","items":{"enum":["red","green","blue"]}}},"required":["name","age"]})");
  expect_as_constraint(person, R"({"name":"Ann \u00e9","age":42,"tags":["red","blue"]})", thread);
  EXPECT_EQ(thread.posted(), 0u);
}

TEST(GrammarPlace, ErrorsComeWhereTheResultIsAskedFor) {
  ConstraintThread thread;
  // Each "y" may end any number of the groups that are open: ever more stacks.
  const auto wide = with_bytes(parse_gbnf("root ::= g\ng ::= \"y\" | \"y\" g g | \"y\" g g g\n"));
  GrammarPlacePtr place = GrammarPlace::start(Constraint(wide), 257, thread);
  while (true) {
    place = place->after('y');
    wait_for(*place, thread);
    place->want_mask();
    wait_for(*place, thread);
    try {
      place->mask();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      EXPECT_TRUE(error.message().starts_with("grammar: ")) << error.message();
      break;
    }
  }
  EXPECT_THROW(place->constraint(), Error);
  EXPECT_THROW(place->after('y'), Error);
  EXPECT_GE(thread.posted(), 1u);
}

TEST(GrammarPlace, RefusesAVocabularyThatTheModelDoesNotKnow) {
  ConstraintThread thread;
  const Constraint constraint(with_bytes(parse_gbnf("root ::= \"a\"\n")));
  expect_error([&] { GrammarPlace::start(constraint, 256, thread); }, Exit::usage,
               "grammar: the tokenizer has 257 tokens, the model knows 256");
}

TEST(GrammarPlace, WhatNobodyWaitsForIsNotDone) {
  const auto slow = with_bytes(slow_grammar());
  ConstraintThread thread;
  for (int i = 0; i < 200; ++i) {
    const GrammarPlacePtr place = GrammarPlace::start(Constraint(slow), 257, thread);
    place->want_mask();
  }
  const GrammarPlacePtr last = GrammarPlace::start(Constraint(slow), 257, thread);
  last->want_mask();
  wait_for(*last, thread);
  EXPECT_LE(slow->counts().masks_computed, 3u);
}

}  // namespace
}  // namespace llm
