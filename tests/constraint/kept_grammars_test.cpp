#include "serving/constraint/kept_grammars.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "serving/constraint/gbnf.h"
#include "serving/constraint/json_schema.h"
#include "tests/constraint/grammar_support.h"

namespace llm {
namespace {

std::shared_ptr<const Grammar> word(int n) {
  return parse_gbnf("root ::= \"w" + std::to_string(n) + "\"");
}

TEST(KeptGrammars, TheSameSchemaOfTwoRequestsComputesItsMasksOnce) {
  KeptGrammars kept(byte_vocabulary());
  const auto schema = nlohmann::ordered_json::parse(R"({"type": "boolean"})");
  const auto spaced = nlohmann::ordered_json::parse(R"( { "type" :"boolean"} )");
  const auto first = kept.find(schema_grammar(schema));
  const auto mask = Constraint(first).mask();
  const auto second = kept.find(schema_grammar(spaced));
  EXPECT_EQ(first, second);
  EXPECT_EQ(Constraint(second).mask(), mask);
  EXPECT_EQ(second->counts().masks_computed, 1u);
  EXPECT_EQ(second->counts().masks_found, 1u);
}

TEST(KeptGrammars, AnotherGrammarIsAnother) {
  KeptGrammars kept(byte_vocabulary());
  const auto one = kept.find(word(1));
  const auto two = kept.find(word(2));
  EXPECT_NE(one, two);
  EXPECT_TRUE(Constraint(one).accepts_bytes("w1"));
  EXPECT_FALSE(Constraint(one).accepts_bytes("w2"));
  EXPECT_TRUE(Constraint(two).accepts_bytes("w2"));
}

TEST(KeptGrammars, WhatWasNotAskedForTheLongestIsForgotten) {
  KeptGrammars kept(byte_vocabulary(), 2);
  const auto one = kept.find(word(1));
  const auto two = kept.find(word(2));
  EXPECT_EQ(kept.find(word(1)), one);
  kept.find(word(3));  // two goes
  EXPECT_EQ(kept.find(word(1)), one);
  EXPECT_NE(kept.find(word(2)), two);
}

TEST(KeptGrammars, ThreadsThatAskAtOnceGetOne) {
  KeptGrammars kept(byte_vocabulary());
  std::vector<std::shared_ptr<const TokenGrammar>> found(8);
  std::vector<std::thread> threads;
  for (auto& place : found) threads.emplace_back([&] { place = kept.find(word(1)); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : found) EXPECT_EQ(one, found[0]);
}

}  // namespace
}  // namespace llm
