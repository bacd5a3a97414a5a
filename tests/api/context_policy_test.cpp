// What the server's context policy makes of prompts and answers that are longer than the context.
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

Served server_of(const std::string& policy) {
  return Served({}, [&](auto& options, auto&) { options.defaults.max_context_policy = policy; });
}

std::string long_text(size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) text += static_cast<char>('a' + i * i % 26);
  return text;
}

const std::string kLong = long_text(306);
const Json kAsk = {{"prompt", kLong}, {"max_tokens", 20}, {"temperature", 0}};

TEST(ContextPolicy, ErrorRefusesLongPrompts) {
  const Json error = server_of("error").post("/v1/completions", kAsk, 400)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["message"], "prompt is 306 tokens; this model allows 256");
}

TEST(ContextPolicy, TruncateLeftDropsTheOldestTokens) {
  const Served api = server_of("truncate-left");
  const std::string wanted = greedy_text(
      api.model, LetterTokenizer().encode(kLong.substr(306 - 236)), 20);
  const Json answer = api.post("/v1/completions", kAsk);
  EXPECT_EQ(answer["choices"][0]["text"], wanted);
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 306);
  EXPECT_EQ(api.post("/generate", kAsk)["generated_text"], wanted);
  EXPECT_EQ(api.post("/predict", {{"text", kLong}})["predictions"].size(), 5u);
  const Json chat = {{"messages", Json::array({{{"role", "user"}, {"content", kLong}}})}};
  EXPECT_EQ(api.post("/v1/chat/completions", chat)["usage"]["completion_tokens"], 100);
  EXPECT_EQ(api.post("/v1/completions", with(kAsk, {{"max_tokens", 257}}), 400)["error"]["message"],
            "max_tokens must be between 0 and 256");
  // A part of a text has another embedding.
  EXPECT_EQ(api.post("/v1/embeddings", {{"input", kLong}}, 400)["error"]["code"],
            "context_length_exceeded");
}

TEST(ContextPolicy, TokensThatWereLeftOutHaveNoLogprobs) {
  const Served api = server_of("truncate-left");
  const Json logprobs = api.post("/v1/completions", with(kAsk, {{"echo", true}, {"logprobs", 2}}))
      ["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["token_logprobs"].size(), 326u);
  for (size_t i = 0; i < 326; ++i)
    EXPECT_EQ(logprobs["token_logprobs"][i].is_null(), i <= 70) << i;  // 306 - 236, and the first
  EXPECT_EQ(logprobs["tokens"][0], "a");
}

TEST(ContextPolicy, SlideGoesOnBeyondTheContext) {
  const Served api = server_of("slide");
  const Json answer = api.post("/v1/completions", with(kAsk, {{"max_tokens", 600}}));
  EXPECT_EQ(answer["usage"]["completion_tokens"], 600);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  const Json error =
      api.post("/v1/completions", with(kAsk, {{"max_tokens", 16 * kContext + 1}}), 400)["error"];
  EXPECT_EQ(error["message"], "max_tokens must be between 0 and 4096");
  EXPECT_EQ(api.post("/v1/completions", with(kAsk, {{"num_beams", 2}}), 400)["error"]["message"],
            "num_beams: beam search cannot slide its context");
}

}  // namespace
}  // namespace llm::test
