// What an answer may hold, and what is counted of it.
#include "serving/http/api/answer_size.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

/// So many prompts of so many tokens, as ids.
Json prompts_of(size_t count, size_t tokens) {
  return Json(std::vector<std::vector<int32_t>>(count, std::vector<int32_t>(tokens, 100)));
}

TEST(AnswerSize, LogProbabilitiesAreBounded) {
  const Served api;
  Json body = {{"prompt", prompts_of(256, 240)},
               {"max_tokens", 0},
               {"echo", true},
               {"logprobs", 5},
               {"n", 3},
               {"temperature", 0}};
  const Json error = api.post("/v1/completions", body, 400)["error"];
  EXPECT_EQ(error["message"],
            "the answer could hold 1105920 log probabilities; one request may ask for 1048576: "
            "fewer prompts, max_tokens, n or logprobs");
  EXPECT_EQ(error["param"], "logprobs");
  EXPECT_EQ(error["code"], "out_of_range");
  body["n"] = 2;  // 737,280
  EXPECT_EQ(api.post("/v1/completions", body)["choices"].size(), 512u);
}

TEST(AnswerSize, TokensOfAllChoicesAreBounded) {
  CountingModel model = letter_model();
  LetterTokenizer tokenizer;
  const auto bounded = [&](size_t prompts, size_t tokens, int64_t n, int64_t beams,
                           int64_t max_tokens, bool given, bool logprobs) {
    api::ServedModelOptions options;
    options.name = "letters";
    options.max_model_len = 32768;
    options.directory = "nowhere";
    const api::ServedModel served(model, tokenizer, options, {});
    api::GenerationFields fields;
    fields.n = fields.best_of = n;
    fields.config.num_beams = beams;
    fields.config.max_new_tokens = max_tokens;
    fields.config.return_logprobs = logprobs;
    fields.config.top_logprobs = logprobs ? 20 : 0;
    fields.max_tokens_given = given;
    api::bound_answer(fields, {prompts, std::vector<int32_t>(tokens, 100)}, served);
    return *fields.config.max_new_tokens;
  };
  EXPECT_EQ(bounded(256, 924, 16, 1, 100, true, false), 100);  // 2^22
  EXPECT_THROW(bounded(256, 925, 16, 1, 100, true, false), http::HttpError);
  EXPECT_THROW(bounded(256, 924, 15, 17, 100, true, false), http::HttpError);
  EXPECT_EQ(bounded(256, 1000, 16, 1, 100, false, false), 24);  // what is open is made to fit
  EXPECT_THROW(bounded(256, 1024, 16, 1, 100, false, false), http::HttpError);
  EXPECT_EQ(bounded(128, 32768, 1, 1, 100, true, false), 100);  // the context ends them
  EXPECT_EQ(bounded(1, 68, 16, 1, 32700, false, true), (1 << 20) / 21 / 16);
  EXPECT_EQ(bounded(1, 68, 1, 1, 32700, false, true), 32700);
}

TEST(AnswerSize, APromptIsReadOnceForItsLogProbabilities) {
  const Served api;
  const Json body = {{"prompt", "the cat sat on the mat"},
                     {"max_tokens", 0},
                     {"echo", true},
                     {"logprobs", 1},
                     {"temperature", 0},
                     {"n", 8}};
  const auto before = api.model.tokens_read;
  const Json answer = api.post("/v1/completions", body);
  EXPECT_EQ(api.model.tokens_read - before, 22u);
  ASSERT_EQ(answer["choices"].size(), 8u);
  for (const Json& choice : answer["choices"])
    EXPECT_EQ(choice["logprobs"], answer["choices"][0]["logprobs"]);
  EXPECT_EQ(answer["choices"][0]["logprobs"]["tokens"].size(), 22u);
}

TEST(AnswerSize, AStreamCountsAsAWholeAnswerDoes) {
  const Served api;
  const std::string one(56, 'x'), other(70, 'y');
  for (const Json& prompt : {Json(one), Json({one, other})}) {
    for (const int n : {1, 4}) {
      const Json body = {
          {"prompt", prompt}, {"max_tokens", 4}, {"temperature", 1}, {"n", n}, {"seed", 1}};
      api.post("/v1/completions", body);  // from now on the beginnings are known
      const Json whole = api.post("/v1/completions", body)["usage"];
      EXPECT_EQ(whole["prompt_tokens"], prompt.is_string() ? 56 : 126);
      EXPECT_EQ(whole["prompt_tokens_details"]["cached_tokens"], prompt.is_string() ? 32 : 96);
      const auto events =
          api.events("/v1/completions",
                     with(body, {{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
      EXPECT_EQ(events.back()["usage"], whole) << n;
    }
  }
}

}  // namespace
}  // namespace llm::test
