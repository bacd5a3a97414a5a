// Bodies that ask for several texts take one place of the queue, wait for it whole or not at all.
#include "serving/http/api/choices.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/api/served.h"

namespace llm::test {
namespace {

using std::chrono::milliseconds;

Served with_places(int64_t batch, int64_t queue) {
  return Served({}, [=](api::ServedModelOptions& options, EngineOptions& engine) {
    options.queue_size = queue;
    engine.max_batch_size = batch;
  });
}

/// Holds the model's first pass until it is opened.
struct Gate {
  explicit Gate(const Served& api) {
    auto& write = const_cast<CountingModel&>(api.model).write;
    write = [own = open, quick = write](const auto& ids, auto logits) {
      while (!own->load()) std::this_thread::sleep_for(milliseconds(1));
      quick(ids, logits);
    };
  }
  ~Gate() { open->store(true); }
  std::shared_ptr<std::atomic<bool>> open = std::make_shared<std::atomic<bool>>(false);
};

/// A body that is sent and not waited for: its answer is read by `read`.
struct Sent {
  Sent(const Served& api, const Json& body) : client(api.server->port()) {
    send_body(client, "/v1/completions", body);
  }
  size_t choices() {
    const http::RawAnswer answer = client.read_answer(20);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.status == 200 ? Json::parse(answer.body)["choices"].size() : 0;
  }
  http::RawClient client;
};

Json prompts(size_t count, int64_t n = 1) {
  Json body = {{"prompt", Json::array()}, {"n", n}, {"max_tokens", 1}};
  for (size_t i = 0; i < count; ++i)
    body["prompt"].push_back(std::string(1, static_cast<char>('a' + i % 26)));
  return body;
}

TEST(Choices, AnIdleServerAnswersEveryBodyThatTheLimitsAllow) {
  const Served usual, least = with_places(1, 0);
  for (const Served* api : {&usual, &least}) {
    EXPECT_EQ(api->post("/v1/completions", prompts(129))["choices"].size(), 129u);
    EXPECT_EQ(api->post("/v1/completions", prompts(256))["choices"].size(), 256u);
    EXPECT_EQ(api->post("/generate", prompts(16, 16))["choices"].size(), 256u);
    EXPECT_EQ(api->events("/v1/completions", with(prompts(9, 16), {{"stream", true}})).size(),
              288u);
  }
}

TEST(Choices, ManyTextsTakeOnePlaceOfTheQueue) {
  const Served api = with_places(1, 1);
  const Gate gate(api);
  Sent first(api, prompts(10)), second(api, prompts(20));
  ASSERT_TRUE(soon([&] { return api.served->engine().open_requests() == 30; }));
  EXPECT_EQ(api.ask("POST", "/v1/completions", prompts(1).dump()).status, 429);
  EXPECT_EQ(api.served->engine().open_requests(), 30);
  gate.open->store(true);
  EXPECT_EQ(first.choices(), 10u);
  EXPECT_EQ(second.choices(), 20u);
  EXPECT_EQ(Sent(api, prompts(20)).choices(), 20u);
}

TEST(Choices, SixteenTextsAPlaceAreWaitedForNotMore) {
  const Served api = with_places(1, 3);
  const Gate gate(api);
  Sent first(api, prompts(64));
  ASSERT_TRUE(soon([&] { return api.served->engine().open_requests() == 64; }));
  Sent second(api, prompts(256));  // the largest is left aside
  ASSERT_TRUE(soon([&] { return api.served->engine().open_requests() == 64 + 256; }));
  const auto refused = api.ask("POST", "/v1/completions", prompts(1).dump());
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(Json::parse(refused.body)["error"]["message"], "queue is full (3); retry after 2 s");
  gate.open->store(true);
  EXPECT_EQ(first.choices(), 64u);
  EXPECT_EQ(second.choices(), 256u);
}

TEST(Choices, AFullQueueIsAnAnswerOfItsOwnAlsoToAStream) {
  const Served one = with_places(1, 0);
  const Gate gate(one);
  Sent first(one, prompts(1));
  ASSERT_TRUE(soon([&] { return one.served->engine().open_requests() == 1; }));
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
  EXPECT_EQ(one.served->engine().open_requests(), 1);  // nothing was taken of what was refused
  gate.open->store(true);
  EXPECT_EQ(first.choices(), 1u);
}

TEST(Choices, TextsThatWaitEndAsSoonAsTheirClientLeaves) {
  const Served api = with_places(1, 1);
  const Gate gate(api);
  Sent first(api, prompts(1)), second(api, prompts(256));
  ASSERT_TRUE(soon([&] { return api.served->engine().open_requests() == 257; }));
  second.client.close();
  std::this_thread::sleep_for(milliseconds(100));  // until the server has seen it
  gate.open->store(true);
  EXPECT_EQ(first.choices(), 1u);
  EXPECT_TRUE(soon([&] { return api.served->engine().open_requests() == 0; }));
  EXPECT_EQ(api.served->engine().stats().generated_tokens, 1u);
}

}  // namespace
}  // namespace llm::test
