// How many embeddings one request may ask for.
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

Json inputs(size_t count) { return Json(std::vector<std::vector<int32_t>>(count, {100, 101})); }

TEST(Embeddings, AsManyTextsAsOpenAITakes) {
  const Served api;
  EXPECT_EQ(api.post("/v1/embeddings", {{"input", inputs(2048)}})["data"].size(), 2048u);
  for (const char* path : {"/v1/embeddings", "/embed"}) {
    const Json error = api.post(path, {{"input", inputs(2049)}}, 400)["error"];
    EXPECT_EQ(error["message"], "input: at most 2048") << path;
    EXPECT_EQ(error["param"], "input") << path;
  }
}

TEST(Embeddings, WideOnesAreFewer) {
  const Served api;
  const_cast<CountingModel&>(api.model).width = 1 << 13;
  const std::string digits = "input: 513 embeddings of 8192 numbers; an answer holds 512 at most";
  EXPECT_EQ(api.post("/v1/embeddings", {{"input", inputs(513)}}, 400)["error"]["message"], digits);
  EXPECT_EQ(api.post("/embed", {{"input", inputs(513)}}, 400)["error"]["message"], digits);
  const Json packed = {{"input", inputs(2048)}, {"encoding_format", "base64"}};
  EXPECT_EQ(api.post("/v1/embeddings", packed)["data"].size(), 2048u);
  const_cast<CountingModel&>(api.model).width = 1 << 14;
  EXPECT_EQ(api.post("/v1/embeddings", packed, 400)["error"]["message"],
            "input: 2048 embeddings of 16384 numbers; an answer holds 1024 at most");
}

}  // namespace
}  // namespace llm::test
