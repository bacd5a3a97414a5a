// Numbers in answers.
#include "serving/http/api/answer_json.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

TEST(AnswerJson, OffsetsCountCharactersNotBytes) {
  const Served one;
  const Json answer = one.post(
      "/v1/completions", {{"prompt", "é日x"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 0}});
  EXPECT_EQ(answer["choices"][0]["text"], "é日x");
  // A token is a byte here: two of the first character, three of the second.
  EXPECT_EQ(answer["choices"][0]["logprobs"]["text_offset"], Json({0, 1, 1, 2, 2, 2}));
}

TEST(AnswerJson, AByteInsideACharacterBeginsNone) {
  EXPECT_EQ(api::characters_begun(""), 0u);
  EXPECT_EQ(api::characters_begun("ab"), 2u);
  EXPECT_EQ(api::characters_begun("\xc3"), 1u);
  EXPECT_EQ(api::characters_begun("\xa9"), 0u);
  EXPECT_EQ(api::characters_begun("\xa9 \xf0\x9f\x98\x80"), 2u);
}

TEST(AnswerJson, TimeBetweenTokensIsNullWhereThereAreFewerThanTwo) {
  const Served one;
  const auto tpot = [&](int tokens) {
    return one.post("/generate", {{"prompt", "a"}, {"max_tokens", tokens}})["timing"]["tpot_ms"];
  };
  EXPECT_TRUE(tpot(0).is_null());
  EXPECT_TRUE(tpot(1).is_null());
  EXPECT_TRUE(tpot(2).is_number());
}

}  // namespace
}  // namespace llm::test
