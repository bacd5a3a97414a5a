#include "serving/http/api/response_cache.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/api/served.h"

namespace llm::test {
namespace {

const Json kGreedyBody = {{"prompt", "ab"}, {"max_tokens", 8}, {"temperature", 0}};

TEST(ResponseCache, IsNotSharedByKeys) {
  api::ApiServerOptions options;
  options.keys = {"gen1:generate", "admin1"};
  const Served api(options);
  const auto ask = [&](const std::string& key, const std::string& id) {
    return api.ask("POST", "/v1/completions", kGreedyBody.dump(),
                   "Authorization: Bearer " + key + "\r\nX-Request-ID: " + id + "\r\n");
  };
  EXPECT_EQ(ask("gen1", "secret-of-gen1").header("X-Cache"), "");
  const auto other = ask("admin1", "mine");
  EXPECT_EQ(other.header("X-Cache"), "");
  EXPECT_EQ(Json::parse(other.body)["id"], "cmpl-mine");
  EXPECT_EQ(ask("gen1", "again").header("X-Cache"), "hit");
  EXPECT_EQ(ask("admin1", "again").header("X-Cache"), "hit");
}

TEST(ResponseCache, AKeptAnswerHasTheIdOfItsOwnRequest) {
  const Served api;
  for (const auto& [path, prefix] : {std::pair("/v1/completions", "cmpl-"), {"/generate", ""}}) {
    const auto ask = [&, where = path](const std::string& id) {
      return api.ask("POST", where, kGreedyBody.dump(), "X-Request-ID: " + id + "\r\n");
    };
    const auto first = ask("first-1"), second = ask("cmpl-second");
    EXPECT_EQ(second.header("X-Cache"), "hit") << path;
    EXPECT_EQ(second.header("X-Request-ID"), "cmpl-second");
    Json wanted = Json::parse(first.body), kept = Json::parse(second.body);
    EXPECT_EQ(wanted["id"], std::string(prefix) + "first-1");
    EXPECT_EQ(kept["id"], std::string(prefix) + "cmpl-second");
    for (Json* one : {&wanted, &kept}) {
      one->erase("id");
      one->erase("created");
    }
    EXPECT_EQ(kept, wanted) << path;
  }
}

TEST(ResponseCache, NamesItsRequestWhereverTheAnswerDoes) {
  api::ResponseCache cache(2);
  const std::string answer =
      R"({"id":"chatcmpl-a","created":7,"choices":[{"message":{"content":"call_a_0","tool_calls":)"
      R"([{"id":"call_a_0","type":"function"},{"id":"call_a_1","type":"function"}]}}]})";
  cache.store("key", answer, "a");
  const Json kept = Json::parse(*cache.find("key", "b-2"));
  EXPECT_EQ(kept["id"], "chatcmpl-b-2");
  EXPECT_GE(kept["created"], std::time(nullptr) - 60);
  const Json& message = kept["choices"][0]["message"];
  EXPECT_EQ(message["content"], "call_a_0");  // the model's words stay
  EXPECT_EQ(message["tool_calls"][0]["id"], "call_b-2_0");
  EXPECT_EQ(message["tool_calls"][1]["id"], "call_b-2_1");
  cache.store("other", R"({"request_id":"a-b","choices":[{"text":"a-b"}]})", "a-b");
  EXPECT_EQ(*cache.find("other", "c"), R"({"request_id":"c","choices":[{"text":"a-b"}]})");
}

TEST(ResponseCache, KeepsTheLastUsed) {
  api::ResponseCache cache(2, 40);
  const std::string small = R"({"id":"a","choices":[]})";  // 23 bytes
  cache.store("one", small, "a");
  cache.store("two", small, "a");
  EXPECT_EQ(cache.entries(), 1u);  // the bytes of two are too many
  EXPECT_FALSE(cache.find("one", "b"));
  EXPECT_TRUE(cache.find("two", "b"));
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_NE(api::ResponseCache::key_of("", "/a", "b"), api::ResponseCache::key_of("c", "/a", "b"));
}

}  // namespace
}  // namespace llm::test
