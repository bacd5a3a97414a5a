// The law of masks: a bit is set exactly where the token's bytes are accepted one by one.
#include "serving/constraint/constraint.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/constraint/grammar_support.h"
#include "tests/constraint/sample_schemas.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

/// At every place of a random walk, for every id.
void expect_law(const SharedGrammar& grammar, const SharedVocabulary& vocabulary, uint64_t seed,
                int steps) {
  const auto shared = std::make_shared<const TokenGrammar>(grammar, vocabulary);
  Constraint constraint(shared);
  Random random(seed);
  for (int step = 0; step < steps && !constraint.ended(); ++step) {
    const auto mask = constraint.mask();
    size_t allowed = 0;
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary->size()); ++id) {
      Constraint slow(constraint);
      bool good = vocabulary->is_end(id) ? slow.may_end() : !vocabulary->bytes(id).empty();
      for (const char byte : vocabulary->bytes(id)) {
        good = good && slow.accept_bytes(std::string_view(&byte, 1));
      }
      allowed += good;
      ASSERT_EQ(mask->allows(id), good)
          << "id " << id << " '" << vocabulary->bytes(id) << "' step " << step << " seed " << seed;
    }
    ASSERT_EQ(mask->allowed, allowed);
    if (allowed == 0) return;
    ASSERT_TRUE(constraint.accept(random_allowed(*mask, random)));
  }
}

TEST(Constraint, MaskEqualsAcceptanceForSchemas) {
  std::string text = R"({"a":1,"bc": [true,null],"é":"\n\u00e9\"x"}}]],"name","value":12.50e-1,)";
  for (const char* schema : kSampleSchemas) text += schema;
  Random random(3);
  const SharedVocabulary vocabulary = cut_vocabulary(text, 250, random);
  uint64_t seed = 0;
  for (const char* schema : kSampleSchemas) expect_law(schema_of(schema), vocabulary, ++seed, 12);
}

TEST(Constraint, MaskEqualsAcceptanceForGrammarsWithNestingAndCounts) {
  const char* const kGrammars[] = {
      R"g(root ::= "(" root ")" root | "")g",     R"(root ::= ("ab" | "a" | "b"){3,7} "c")",
      R"(root ::= (("a"? "b"?){2,4} "c"?){2,5})", R"(root ::= [a-c]{2,} ("a" root){0,2})",
      R"(root ::= ([a-b]* "a"){3} | [^a-c]+)",
      R"(root ::= x{1000} | x{5,600} "!"
         x ::= "a" | "bb" | "é")",
  };
  Random random(4);
  const SharedVocabulary vocabulary =
      cut_vocabulary("aabbccab((())()ca!!aéébbbbaaaaacbacbcab)))((c", 150, random);
  for (const char* grammar : kGrammars) {
    for (uint64_t seed = 0; seed < 4; ++seed) expect_law(parse_gbnf(grammar), vocabulary, seed, 15);
  }
}

TEST(Constraint, MaskEqualsAcceptanceWhereTheStackIsAlmostFull) {
  GrammarLimits limits;
  limits.max_stack_depth = 7;
  const char* const kNested = R"g(root ::= "(" a ")" | "x"
      a ::= "[" b "]" | "y"+ "y"
      b ::= root root | "z"{3,40})g";
  const auto grammar = parse_gbnf(kNested, limits);
  std::vector<std::string> pieces;
  for (const char* piece :
       {"([", "([(", "([([", "([([(y", ")])", "xx", "zz", "yy)", "[([y", "((", "xx]"}) {
    pieces.emplace_back(piece);
  }
  for (uint64_t seed = 0; seed < 20; ++seed) expect_law(grammar, byte_vocabulary(pieces), seed, 30);
}

TEST(Constraint, NestingStopsWhereItCouldNotBeClosed) {
  GrammarLimits limits;
  limits.max_stack_depth = 10;
  const auto shared = with_bytes(parse_gbnf(R"(root ::= "[" item "]"
      item ::= root | "x")",
                                            limits));
  Constraint constraint(shared);
  int depth = 0;
  while (constraint.accept_bytes("[")) ++depth;
  EXPECT_GT(depth, 3);
  EXPECT_LE(depth, 10);
  EXPECT_EQ(constraint.mask()->allowed, 1u);
  EXPECT_TRUE(constraint.accept_bytes("x" + std::string(static_cast<size_t>(depth), ']')));
  EXPECT_TRUE(constraint.must_end());
}

TEST(Constraint, EndIsAllowedOnlyWhereTheTextMayEnd) {
  Constraint constraint(with_bytes(parse_gbnf(R"(root ::= "a" "b"?)")));
  const int32_t end = constraint.vocabulary().end_ids()[0];
  EXPECT_FALSE(constraint.mask()->allows(end));
  EXPECT_FALSE(constraint.accept(end));
  EXPECT_TRUE(constraint.accept('a'));
  EXPECT_TRUE(constraint.mask()->allows(end));
  EXPECT_TRUE(constraint.may_end());
  EXPECT_FALSE(constraint.must_end());
  EXPECT_TRUE(constraint.accept('b'));
  EXPECT_TRUE(constraint.must_end());
  EXPECT_TRUE(constraint.accept(end));
  EXPECT_TRUE(constraint.ended());
  EXPECT_FALSE(constraint.may_end());
  EXPECT_EQ(constraint.mask()->allowed, 0u);
  EXPECT_FALSE(constraint.accept(end));
  EXPECT_FALSE(constraint.accept_bytes("b"));
}

TEST(Constraint, ARefusedTokenChangesNothing) {
  Constraint constraint(with_bytes(parse_gbnf(R"(root ::= "abc")")));
  EXPECT_TRUE(constraint.accept('a'));
  EXPECT_FALSE(constraint.accept_bytes("bx"));
  EXPECT_FALSE(constraint.accept('x'));
  EXPECT_FALSE(constraint.accept(-1));
  EXPECT_FALSE(constraint.accept(100'000));
  EXPECT_TRUE(constraint.accepts('b'));
  EXPECT_TRUE(constraint.accepts_bytes("bc"));
  EXPECT_TRUE(constraint.accept_bytes("bc"));
}

TEST(Constraint, CopiesGoTheirOwnWays) {
  Constraint one(with_bytes(parse_gbnf(R"(root ::= "ab" | "ac")")));
  EXPECT_TRUE(one.accept('a'));
  Constraint other(one);
  EXPECT_TRUE(one.accept('b'));
  EXPECT_TRUE(other.accept('c'));
  EXPECT_TRUE(one.must_end());
  EXPECT_TRUE(other.must_end());
}

TEST(Constraint, APlaceThatTheVocabularyCannotLeaveAllowsNothing) {
  const std::vector<std::string> tokens = {"a", "b", ""};
  const int32_t end = 2;
  const auto vocabulary = std::make_shared<const TokenVocabulary>(tokens, std::span(&end, 1));
  Constraint constraint(
      std::make_shared<const TokenGrammar>(parse_gbnf(R"(root ::= "aé")"), vocabulary));
  EXPECT_TRUE(constraint.accept(0));
  EXPECT_EQ(constraint.mask()->allowed, 0u);
  EXPECT_FALSE(constraint.may_end());
  EXPECT_FALSE(constraint.ended());
}

TEST(Constraint, MasksAreComputedOncePerPlaceAndForgottenBeyondTheLimit) {
  const auto shared =
      std::make_shared<const TokenGrammar>(parse_gbnf(R"(root ::= "abcd")"), byte_vocabulary(), 2);
  Constraint constraint(shared);
  constraint.mask();
  constraint.mask();
  EXPECT_EQ(shared->counts().masks_computed, 1u);
  EXPECT_EQ(shared->counts().masks_found, 1u);
  for (const char byte : {'a', 'b'}) {
    constraint.accept(byte);
    constraint.mask();
  }
  EXPECT_EQ(shared->counts().masks_computed, 3u);
  Constraint(shared).mask();
  EXPECT_EQ(shared->counts().masks_computed, 4u);
}

TEST(Constraint, CountsFarFromTheirLimitShareOneMask) {
  const auto shared = with_bytes(schema_of(R"({"type":"string","maxLength":100000})"));
  Constraint constraint(shared);
  EXPECT_TRUE(constraint.accept('"'));
  for (int i = 0; i < 500; ++i) {
    constraint.mask();
    ASSERT_TRUE(constraint.accept('x'));
  }
  EXPECT_EQ(shared->counts().masks_computed, 1u);
}

TEST(Constraint, ApplyMaskLeavesOnlyAllowedLogits) {
  std::vector<float> logits(40, 1.0f);
  apply_mask(logits, std::vector<uint32_t>{1u << 3});
  for (size_t id = 0; id < logits.size(); ++id) {
    EXPECT_EQ(logits[id], id == 3 ? 1.0f : -std::numeric_limits<float>::infinity());
  }
}

TEST(Constraint, ThreadsShareOneTokenGrammar) {
  const auto shared = std::make_shared<const TokenGrammar>(
      json_object_grammar(), byte_vocabulary({"\":", "\",\"", "{\""}), 8);
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      Random random(11 + i % 2);
      for (int n = 0; n < 5; ++n) texts[i] += random_text(Constraint(shared), random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(texts[0], texts[2]);
  EXPECT_EQ(texts[1], texts[3]);
  EXPECT_NE(texts[0], texts[1]);
}

/// The smallest allowance that the first mask of so many rules side by side can be made with.
size_t least_work(int rules) {
  std::string text = "root ::= r0";
  for (int i = 1; i < rules; ++i) text += fmt::format(" | r{}", i);
  for (int i = 0; i < rules; ++i) text += fmt::format("\nr{} ::= [a-z]+ \"{}\"", i, i);
  const auto grammar = parse_gbnf(text + "\n");
  size_t too_little = 0, enough = 1 << 20;
  while (enough - too_little > 1) {
    const size_t work = (too_little + enough) / 2;
    try {
      Constraint(with_bytes(grammar)).mask(work);  // (what was computed before is remembered)
      enough = work;
    } catch (const constraint::MoreWorkNeeded&) {
      too_little = work;
    }
  }
  return enough;
}

TEST(Constraint, AMaskHasOneAllowanceHoweverManyRulesItLooksInto) {
  EXPECT_GE(least_work(9), 8 * least_work(1));
}

TEST(Constraint, AGrammarThatExplodesIsAnErrorNotAHang) {
  std::string text = "root ::= r0\n";
  for (int i = 0; i < 20; ++i) {
    text += fmt::format("r{} ::= r{} \"a\" | r{} \"b\"\n", i, i + 1, i + 1);
  }
  const auto grammar = parse_gbnf(text + "r20 ::= \"x\"\n");
  expect_error([&] { with_bytes(grammar); }, Exit::usage,
               "grammar: more than 65536 live stacks at one place");
}

}  // namespace
}  // namespace llm
