// What a request with several texts is told where not all of them are taken.
#include "serving/http/api/choices.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

/// Room for one text: the second of a request is always one too many.
Served with_one_place() {
  return Served({}, [](api::ServedModelOptions& options, EngineOptions& engine) {
    options.queue_size = 0;
    engine.max_batch_size = 1;
  });
}

TEST(Choices, AFullQueueIsAnAnswerOfItsOwnAlsoToAStream) {
  const Served one = with_one_place();
  const std::vector<std::pair<std::string, Json>> bodies = {
      {"/v1/completions", {{"prompt", "ab"}, {"n", 2}}},
      {"/v1/completions", {{"prompt", {"ab", "cd"}}, {"echo", true}}},
      {"/v1/chat/completions",
       {{"messages", Json::array({{{"role", "user"}, {"content", "ab"}}})}, {"n", 2}}},
      {"/generate", {{"prompt", "ab"}, {"n", 2}}}};
  for (auto [path, body] : bodies) {
    for (const bool stream : {false, true}) {
      body["stream"] = stream;
      body["max_tokens"] = 4;
      const http::RawAnswer answer = one.ask("POST", path, body.dump());
      EXPECT_EQ(answer.status, 429) << path << " " << body;
      EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "rate_limit_exceeded") << path;
      EXPECT_EQ(answer.header("Retry-After"), "2") << path;
    }
  }
}

TEST(Choices, WhatWasTakenOfARefusedRequestMakesRoomAgain) {
  const Served one = with_one_place();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(
        one.ask("POST", "/v1/completions", R"({"prompt":"ab","n":2,"max_tokens":200})").status,
        429);
  Json body = {{"prompt", "ab"}, {"max_tokens", 3}};
  http::RawAnswer answer;
  for (int i = 0; i < 200; ++i) {
    answer = one.ask("POST", "/v1/completions", body.dump());
    if (answer.status == 200) break;
  }
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(one.get("/stats")["waiting_requests"], 0);
}

}  // namespace
}  // namespace llm::test
