// Bodies that are read twice: as fields, and with their members in order.
#include "serving/http/api/generation_fields.h"

#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

TEST(GenerationFields, ANumberBeyondDoublesIsRefusedWhereverItStands) {
  const Served one;
  const std::pair<const char*, const char*> bodies[] = {
      {"/v1/completions", R"({"prompt":"ab","max_tokens":1,"other":1e400})"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"ab"}],"other":[-1e9991]})"},
      {"/generate",
       R"({"prompt":"ab","max_tokens":1,"response_format":{"type":"text","other":1e400}})"},
      {"/apply-template", R"({"messages":[{"role":"user","content":"ab","other":1e400}]})"},
      {"/tokenize", R"({"messages":[{"role":"user","content":"ab","other":1e400}]})"}};
  for (const auto& [path, body] : bodies) {
    const http::RawAnswer answer = one.ask("POST", path, body);
    EXPECT_EQ(answer.status, 400) << path << " " << answer.body;
  }
}

TEST(GenerationFields, PartsOfAMessageAreTextsOrRefused) {
  const Served one;
  for (const char* part :
       {"{\"type\":7,\"text\":\"a\"}", "{\"type\":\"text\"}", "{\"type\":\"text\",\"text\":7}", "7",
        "{\"type\":\"image_url\",\"text\":\"a\"}"}) {
    const http::RawAnswer answer =
        one.ask("POST", "/v1/chat/completions",
                std::string(R"({"messages":[{"role":"user","content":[)") + part + "]}]}");
    EXPECT_EQ(answer.status, 400) << part << " " << answer.body;
    EXPECT_EQ(Json::parse(answer.body)["error"]["param"], "messages[0]") << part;
  }
}

}  // namespace
}  // namespace llm::test
