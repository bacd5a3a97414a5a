// What the server tells of its tokenizer, as remote clients of it ask.
#include <gtest/gtest.h>

#include "serving/http/api/plain_routes.h"
#include "tests/api/served.h"

namespace llm::test {
namespace {

TEST(ModelRoutes, TheSpellingOfASpecialTokenAloneIsItsId) {
  const Served one;
  const Json info = one.get("/tokenizer_info");
  const auto ids = [&](const Json& text) {
    return one.post("/tokenize", {{"prompt", text}, {"add_special_tokens", false}})["tokens"];
  };
  EXPECT_EQ(ids(info["bos_token"]), Json({1}));
  EXPECT_EQ(ids(info["eos_token"]), Json({2}));
  EXPECT_EQ(one.post("/tokenize", {{"content", "<pad>"}})["tokens"], Json({0}));
}

TEST(ModelRoutes, InsideATextItIsText) {
  const Served one;
  EXPECT_EQ(one.post("/tokenize", {{"prompt", "a<s>"}})["count"], 4);
  EXPECT_EQ(one.post("/tokenize", {{"prompt", "<s> "}})["count"], 4);
  EXPECT_EQ(one.post("/tokenize", {{"prompt", ""}})["count"], 0);
}

TEST(ModelRoutes, SpecialTokensComeBackAsTheyAreSpelled) {
  const Served one;
  for (const char* text : {"<s>", "</s>", "<pad>", "ab"}) {
    const Json ids = one.post("/tokenize", {{"prompt", text}})["tokens"];
    EXPECT_EQ(one.post("/detokenize", {{"tokens", ids}})["prompt"], text);
  }
  EXPECT_EQ(one.post("/detokenize", {{"tokens", {1, 100, 2, 101}}})["content"], "<s>a</s>b");
}

TEST(ModelRoutes, OnlyIdsAreDetokenized) {
  const Served one;
  EXPECT_EQ(one.post("/detokenize", {{"tokens", {100, 101}}})["prompt"], "ab");
  EXPECT_EQ(one.post("/detokenize", {{"tokens", Json::array()}})["prompt"], "");
  for (const char* tokens : {"[\"ab\"]", "[[100]]", "[null]", "[true]"}) {
    const http::RawAnswer answer =
        one.ask("POST", "/detokenize", std::string("{\"tokens\":") + tokens + "}");
    EXPECT_EQ(answer.status, 400) << tokens;
    EXPECT_EQ(Json::parse(answer.body)["error"]["param"], "tokens") << tokens;
  }
}

TEST(ModelRoutes, ANameWithASlashIsAskedForWithItOrEncoded) {
  const Served one({}, [](auto& options, auto&) { options.name = "org/letters"; });
  const Json entry = one.get("/v1/models")["data"][0];
  EXPECT_EQ(entry["id"], "org/letters");
  EXPECT_EQ(one.get("/v1/models/org/letters"), entry);
  EXPECT_EQ(one.get("/v1/models/org%2Fletters"), entry);
  for (const char* other : {"/v1/models/org", "/v1/models/org/letters/more"}) {
    const http::RawAnswer answer = one.ask("GET", other, "");
    EXPECT_EQ(answer.status, 404) << other;
    EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "model_not_found") << other;
  }
}

TEST(ModelRoutes, AModelThatIsNotServedTokenizesNothing) {
  const Served one;
  EXPECT_EQ(one.post("/tokenize", {{"prompt", "a"}, {"model", "letters"}})["count"], 1);
  for (const char* path : {"/tokenize", "/detokenize"}) {
    const Json body = {{"prompt", "a"}, {"tokens", {100}}, {"model", "nope"}};
    const Json error = one.post(path, body, 404)["error"];
    EXPECT_EQ(error["code"], "model_not_found") << path;
    EXPECT_EQ(error["param"], "model") << path;
  }
}

}  // namespace
}  // namespace llm::test
