// Numbers in answers.
#include "serving/http/api/answer_json.h"

#include <gtest/gtest.h>

#include "serving/http/api/completion_answer.h"
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

TEST(AnswerJson, OffsetsCountBrokenBytesAsTheTextShowsThem) {
  const Served one;
  const auto offsets = [&](const Json& prompt, int max_tokens) {
    const Json answer =
        one.post("/v1/completions",
                 {{"prompt", prompt}, {"max_tokens", max_tokens}, {"echo", true}, {"logprobs", 0}});
    return answer["choices"][0]["logprobs"]["text_offset"];
  };
  const auto bytes = [](std::string_view text) { return LetterTokenizer().encode(text); };
  EXPECT_EQ(offsets(Json(bytes("\xAC\xAC\xAC"
                               "a")),
                    0),
            Json({0, 1, 2, 3}));
  // The beginning of a character, cut off by a letter: two bytes, one U+FFFD.
  EXPECT_EQ(offsets(Json(bytes("\xE2\x82"
                               "ab")),
                    0),
            Json({0, 1, 1, 2}));
}

/// Puts a space before a text and leaves it out again, as tokenizers of the Llama 2 kind do.
struct SpacedTokenizer final : LetterTokenizer {
  std::vector<int32_t> encode(std::string_view text) const override {
    return LetterTokenizer::encode(" " + std::string(text));
  }
  std::string decode(std::span<const int32_t> ids) const override {
    const std::string text = LetterTokenizer::decode(ids);
    return text.starts_with(' ') ? text.substr(1) : text;
  }
};

TEST(AnswerJson, ASpaceThatDecodingDropsHasNoPlaceInTheText) {
  const CountingModel model = letter_model();
  const SpacedTokenizer tokenizer;
  const TemporaryFolder folder;
  api::ServedModelOptions options;
  options.directory = folder.path();
  const api::ServedModel served(model, tokenizer, options, {});
  api::CompletionJob job{.model = served,
                         .asked = {},
                         .id = {},
                         .fields = {},
                         .logprobs = {},
                         .prompts = {},
                         .prompt_texts = {}};
  job.echo = true;
  job.logprobs = 0;
  job.prompts = {tokenizer.encode("the cat")};
  job.prompt_texts = {"the cat"};
  GenerationResult result;
  result.token_ids = LetterTokenizer().encode(" on");
  result.logprobs = {-1, -2, -3};
  result.text = " on";
  const Json choice = Json::parse(api::whole_completion(job, {result}))["choices"][0];
  EXPECT_EQ(choice["text"], "the cat on");
  EXPECT_EQ(choice["logprobs"]["text_offset"], Json({0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  // What a result does not know is null, and nothing is read beyond it.
  EXPECT_EQ(choice["logprobs"]["token_logprobs"],
            Json::parse("[null, null, null, null, null, null, null, null, -1.0, -2.0, -3.0]"));
}

TEST(AnswerJson, AByteInsideACharacterBeginsNone) {
  const auto begun = [](std::initializer_list<const char*> pieces) {
    api::CharacterCount count;
    for (const char* piece : pieces) count.add(piece);
    return count.begun();
  };
  EXPECT_EQ(begun({""}), 0u);
  EXPECT_EQ(begun({"ab"}), 2u);
  EXPECT_EQ(begun({"\xc3"}), 1u);
  EXPECT_EQ(begun({"\xc3", "\xa9"}), 1u);
  EXPECT_EQ(begun({"\xa9"}), 1u);  // of no character: shown as U+FFFD
  EXPECT_EQ(begun({"\xf0\x9f", "\x98", "\x80 "}), 2u);
  EXPECT_EQ(begun({"\xE2", "\x82", "\xAC", "\xC3"}), 2u);
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
