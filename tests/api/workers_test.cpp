// Long work for one body holds up neither the next body nor what only tells about the server.
#include <gtest/gtest.h>

#include <latch>

#include "tests/api/served.h"

namespace llm::test {
namespace {

/// Every text "long" takes until it is let go.
struct LongTexts {
  explicit LongTexts(Served& api) {
    api.tokenizer.before_encoding = [this](std::string_view text) {
      if (text != "long") return;
      ++begun;
      end.wait();
    };
  }
  std::atomic<int> begun{0};
  std::latch end{1};
};

struct Asked {
  explicit Asked(const Served& api) : client(api.server->port()) {
    send_body(client, "/tokenize", {{"content", "long"}});
  }
  http::RawClient client;
};

TEST(Workers, ALongBodyDoesNotHoldUpTheNext) {
  Served api;
  LongTexts texts(api);
  Asked one(api);
  ASSERT_TRUE(soon([&] { return texts.begun == 1; }));
  EXPECT_EQ(api.post("/tokenize", {{"content", "ab"}})["tokens"],
            Json(LetterTokenizer().encode("ab")));
  EXPECT_EQ(texts.begun, 1);
  texts.end.count_down();
  EXPECT_EQ(Json::parse(one.client.read_answer(20).body)["tokens"],
            Json(LetterTokenizer().encode("long")));
}

TEST(Workers, WhatTellsOfTheServerWaitsForNoBody) {
  Served api;
  LongTexts texts(api);
  Asked one(api), two(api), three(api);
  ASSERT_TRUE(soon([&] { return texts.begun == 2; }));  // the third waits for a worker
  for (const char* path : {"/health", "/v1/models", "/props", "/slots", "/stats", "/metrics",
                           "/model-info", "/tokenizer_info", "/version", "/v1/queue/status"})
    EXPECT_EQ(api.ask("GET", path, "").status, 200) << path;
  EXPECT_EQ(texts.begun, 2);
  texts.end.count_down();
  for (Asked* asked : {&one, &two, &three}) EXPECT_EQ(asked->client.read_answer(20).status, 200);
}

}  // namespace
}  // namespace llm::test
