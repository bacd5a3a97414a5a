// Bodies that are read twice: as fields, and with their members in order.
#include "serving/http/api/generation_fields.h"

#include <gtest/gtest.h>

#include <thread>

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

TEST(GenerationFields, EveryFaultOfAResponseFormatIsAnUnsupportedSchema) {
  const Served one;
  const std::pair<const char*, const char*> formats[] = {
      {"7", "response_format must be an object"},
      {R"("json_object")", "response_format must be an object"},
      {"{}", "response_format.type must be text, json_object or json_schema"},
      {R"({"type":7})", "response_format.type must be text"},
      {R"({"type":"xml"})", "response_format.type must be text, json_object or json_schema"},
      {R"({"type":"json_schema"})", "'response_format.json_schema' is required"},
      {R"({"type":"json_schema","json_schema":[]})",
       "response_format.json_schema must be an object"},
      {R"({"type":"json_schema","json_schema":{"schema":[]}})",
       "'response_format.json_schema.schema' is required"},
      {R"({"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"a":{"$ref":"#/properties/a"}}}}})",
       "$ref cycles are not supported (properties.a)"}};
  const std::pair<const char*, const char*> routes[] = {
      {"/v1/completions", R"("prompt":"a")"},
      {"/v1/chat/completions", R"("messages":[{"role":"user","content":"a"}])"},
      {"/generate", R"("prompt":"a")"}};
  for (const auto& [path, rest] : routes) {
    for (const auto& [format, message] : formats) {
      const http::RawAnswer answer =
          one.ask("POST", path, std::string("{") + rest + R"(,"response_format":)" + format + "}");
      EXPECT_EQ(answer.status, 400) << path << format;
      const Json error = Json::parse(answer.body)["error"];
      EXPECT_EQ(error["code"], "unsupported_schema") << path << format;
      EXPECT_EQ(error["message"], message) << path << format;
    }
  }
}

TEST(GenerationFields, OneThingBindsATextOnly) {
  const Served one;
  const Json error = one.post(
      "/v1/completions",
      {{"prompt", "a"}, {"grammar", "root ::= \"a\""}, {"guided_json", {{"type", "boolean"}}}},
      400)["error"];
  EXPECT_EQ(error["message"], "response_format, grammar and guided_json: give one of them only");
}

TEST(GenerationFields, SpeculationHasTwoNames) {
  const Served one;
  const std::string a = std::to_string(LetterTokenizer::id_of('a'));
  for (const char* name : {"num_speculative_tokens", "num_speculated_tokens"}) {
    Json body = {{"prompt", "a"}, {"max_tokens", 9}, {"logit_bias", {{a, 100}}}, {name, 65}};
    EXPECT_EQ(one.post("/generate", body, 400)["error"]["message"],
              std::string(name) + " must be between 0 and 64");
    const auto drafted = [&] { return one.served->engine().stats().tokens_drafted; };
    const uint64_t before = drafted();
    body[name] = 4;
    one.post("/generate", body);
    for (int i = 0; i < 5000 && drafted() == before; ++i)  // counted when the pass is over
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GT(drafted(), before) << name;
  }
}

TEST(GenerationFields, TwoNamesOfOneThingMustAgree) {
  const Served one;
  const auto refusal = [&](const char* path, Json body) {
    const Json error = one.post(path, std::move(body), 400)["error"];
    return fmt::format("{}: {}", error["param"].get<std::string>(),
                       error["message"].get<std::string>());
  };
  EXPECT_EQ(refusal("/v1/completions", {{"prompt", "a"}, {"max_tokens", 2}, {"max_length", 3}}),
            "max_length: max_length is another name of max_tokens; give one of them");
  EXPECT_EQ(refusal("/generate", {{"prompt", "a"}, {"min_tokens", 2}, {"min_new_tokens", 3}}),
            "min_new_tokens: min_new_tokens is another name of min_tokens; give one of them");
  EXPECT_EQ(refusal("/tokenize", {{"prompt", "a"}, {"content", "b"}}),
            "content: content is another name of prompt; give one of them");
  const Json same = {{"prompt", "a"}, {"max_tokens", 3}, {"max_new_tokens", 3}};
  EXPECT_EQ(one.post("/v1/completions", same)["usage"]["completion_tokens"], 3);
  const Json both = {{"messages", {{{"role", "user"}, {"content", "a"}}}},
                     {"max_tokens", 5},
                     {"max_completion_tokens", 2}};
  EXPECT_EQ(one.post("/v1/chat/completions", both)["usage"]["completion_tokens"], 2);
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
