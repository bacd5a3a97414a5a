#include "serving/http/json_body.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace llm::http {
namespace {

void refuse(const std::function<void()>& action, int status, const std::string& code,
            const std::string& message, const std::string& param = "") {
  try {
    action();
    ADD_FAILURE() << "accepted; expected " << message;
  } catch (const HttpError& error) {
    EXPECT_EQ(error.message(), message);
    EXPECT_EQ(error.status(), status) << message;
    EXPECT_EQ(error.code(), code) << message;
    EXPECT_EQ(error.param(), param) << message;
  }
}

void refuse_body(const std::string& body, const std::string& code, const std::string& message,
                 const std::string& param = "") {
  refuse([&] { parse_body(body); }, 400, code, message, param);
}

Request post(const std::string& type, const std::string& body = "{}") {
  Request request;
  request.method = "POST";
  request.body = body;
  if (!type.empty()) request.headers.emplace_back("content-type", type);
  return request;
}

TEST(JsonBody, RefusesBodiesByTheTable) {
  refuse_body("", "invalid_json", "request body is empty");
  refuse_body(" \n", "invalid_json", "request body is empty");
  refuse_body("{\"prompt\":", "invalid_json", "invalid JSON at byte 10: unexpected end");
  refuse_body("[1]", "invalid_type", "body must be a JSON object");
  refuse_body("7", "invalid_type", "body must be a JSON object");
  refuse_body(std::string(1000000, '['), "invalid_json", "nesting deeper than 64 at byte 64");
  refuse_body("{\"a\":" + std::string(1000000, '['), "invalid_json",
              "nesting deeper than 64 at byte 68");
  refuse_body("{\"n\": 1, \"m\": 2, \"n\": 3}", "duplicate_field",
              "'n' appears twice, again at byte 17", "n");
  refuse_body("{\"prompt\": \"0123456789012345678\xFF\"}", "invalid_json",
              "invalid UTF-8 at byte 31");
  refuse_body("\xEF\xBB\xBF{}", "invalid_json", "invalid JSON at byte 0: a byte order mark");
  refuse_body("{\"a\": NaN}", "invalid_json", "invalid JSON at byte 6");
  refuse_body(std::string("{\"a\": \"x\0\"}", 11), "invalid_json", "invalid JSON at byte 8");
  refuse_body("{\"a\": \"\\udc00\"}", "invalid_json", "invalid JSON at byte 12");
  std::string many = "{";
  for (int i = 0; i < 100000; ++i) many += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
  refuse_body(many + "}", "invalid_json",
              fmt::format("an object has more than 10000 members at byte {}",
                          many.find("\"10000\"")));
}

TEST(JsonBody, NulIsTextWhereItIsEscaped) {
  // (A model may write it, and what it wrote comes back in the next request of a chat.)
  EXPECT_EQ(parse_body(R"({"a": "x\u0000"})")["a"], std::string("x\0", 2));
}

TEST(JsonBody, TakesJsonTypesOnly) {
  for (const char* type : {"application/json", "Application/JSON; charset=UTF-8",
                           "application/json ;charset=\"utf-8\"", "application/json; v=1"}) {
    EXPECT_NO_THROW(json_body(post(type))) << type;
  }
  for (const char* type :
       {"text/plain", "", "application/jsonx", "application/json; charset=latin1",
        "application/x-www-form-urlencoded"}) {
    refuse([&] { json_body(post(type)); }, 415, "unsupported_media_type", "use application/json");
  }
  Request packed = post("application/json");
  packed.headers.emplace_back("Content-Encoding", "gzip");
  refuse([&] { json_body(packed); }, 415, "unsupported_media_type",
         "compressed bodies are not read");
  refuse([&] { json_body(post("", "")); }, 400, "invalid_json", "request body is empty");
}

const std::vector<Field> kFields = {whole_field("n", 1, 16),
                                    whole_field("max_tokens", 0, 4096),
                                    whole_field("seed", INT64_MIN, INT64_MAX),
                                    number_field("temperature", 0, 2),
                                    flag_field("stream"),
                                    text_field("user", 5),
                                    object_field("stream_options"),
                                    array_field("messages"),
                                    any_field("prompt")};

void refuse_field(const std::string& member, const std::string& code, const std::string& message) {
  const nlohmann::json body = parse_body("{" + member + "}");
  const std::string param = member.substr(1, member.find('"', 1) - 1);
  refuse([&] { FieldReader(body, kFields); }, 400, code, message, param);
}

TEST(JsonBody, WholeNumbersAreWhole) {
  const std::string rule = "max_tokens must be a whole number from 0 to 4096";
  for (const char* value : {"-1", "1.5", "\"8\"", "true", "[1]", "{}", "-1e400", "-0.5", "-1.0"}) {
    refuse_field(std::string("\"max_tokens\": ") + value, "invalid_value", rule);
  }
  for (const char* value : {"4097", "1e400", "9223372036854775808", "18446744073709551616",
                            "4097.0", "1e300", "9223372036854775807"}) {
    refuse_field(std::string("\"max_tokens\": ") + value, "out_of_range",
                 "max_tokens must be between 0 and 4096");
  }
  refuse_field("\"n\": 1000000", "out_of_range", "n must be between 1 and 16");
  refuse_field("\"n\": 0", "out_of_range", "n must be between 1 and 16");
  refuse_field("\"n\": -1", "invalid_value", "n must be a whole number from 1 to 16");
  refuse_field("\"seed\": 9223372036854775808", "out_of_range",
               "seed must be between -9223372036854775808 and 9223372036854775807");
  const nlohmann::json body =
      parse_body(R"({"max_tokens": 8.0, "n": 1e1, "seed": -9223372036854775808})");
  const FieldReader reader(body, kFields);
  EXPECT_EQ(reader.whole("max_tokens"), 8);
  EXPECT_EQ(reader.whole("n", 1), 10);
  EXPECT_EQ(reader.whole("seed"), INT64_MIN);
}

TEST(JsonBody, NumbersStayInTheirRange) {
  for (const char* value : {"1e400", "9", "-1e400", "-0.001", "2.0001"}) {
    refuse_field(std::string("\"temperature\": ") + value, "out_of_range",
                 "temperature must be between 0 and 2");
  }
  for (const char* value : {"\"1\"", "true", "[]"}) {
    refuse_field(std::string("\"temperature\": ") + value, "invalid_value",
                 "temperature must be a number from 0 to 2");
  }
  const nlohmann::json body = parse_body(R"({"temperature": 2})");
  EXPECT_EQ(FieldReader(body, kFields).number("temperature"), 2.0);
}

TEST(JsonBody, OtherKindsAreNamed) {
  refuse_field("\"stream\": 1", "invalid_value", "stream must be true or false");
  refuse_field("\"stream\": \"true\"", "invalid_value", "stream must be true or false");
  refuse_field("\"user\": 5", "invalid_value", "user must be text");
  refuse_field("\"user\": \"123456\"", "invalid_value", "user must be at most 5 bytes");
  refuse_field("\"stream_options\": []", "invalid_value", "stream_options must be an object");
  refuse_field("\"messages\": {}", "invalid_value", "messages must be an array");
}

TEST(JsonBody, NullIsAbsentAndUnknownFieldsAreListed) {
  const nlohmann::json body =
      parse_body(R"({"n": null, "stream": true, "new_thing": 1, "prompt": [1], "another": {}})");
  const FieldReader reader(body, kFields);
  EXPECT_FALSE(reader.has("n"));
  EXPECT_EQ(reader.whole("n"), std::nullopt);
  EXPECT_EQ(reader.whole("n", 3), 3);
  EXPECT_TRUE(reader.flag("stream", false));
  EXPECT_EQ(reader.text("user", "nobody"), "nobody");
  EXPECT_EQ(reader.number("temperature", 1), 1);
  EXPECT_EQ(reader.find("prompt")->size(), 1u);
  EXPECT_EQ(reader.unknown(), (std::vector<std::string>{"another", "new_thing"}));
  refuse([&] { reader.require("messages"); }, 400, "missing_field", "'messages' is required",
         "messages");
  refuse([&] { reader.require("n"); }, 400, "missing_field", "'n' is required", "n");
}

TEST(JsonBody, InnerFieldsAreNamedByTheirPath) {
  const nlohmann::json body = parse_body(R"({"include_usage": 1})");
  const std::vector<Field> inner = {flag_field("include_usage")};
  refuse([&] { FieldReader(body, inner, "stream_options"); }, 400, "invalid_value",
         "stream_options.include_usage must be true or false", "stream_options.include_usage");
  refuse([&] { FieldReader(nlohmann::json(3), inner, "messages[2]"); }, 400, "invalid_value",
         "messages[2] must be an object", "messages[2]");
  const nlohmann::json empty = nlohmann::json::object();
  const FieldReader reader(empty, inner, "messages[2]");
  refuse([&] { reader.refuse("role", "'robot' is unknown"); }, 400, "invalid_value",
         "messages[2].role 'robot' is unknown", "messages[2].role");
  refuse([&] { whole_value(1.5, 0, 9, "prompt[1]"); }, 400, "invalid_value",
         "prompt[1] must be a whole number from 0 to 9", "prompt[1]");
}

TEST(JsonBody, AskingForWhatTheTableLacksIsOurMistake) {
  const nlohmann::json body = parse_body(R"({"n": 1})");
  const FieldReader reader(body, kFields);
  EXPECT_THROW(reader.whole("top_k"), Error);
  EXPECT_THROW(reader.text("n"), Error);
}

}  // namespace
}  // namespace llm::http
