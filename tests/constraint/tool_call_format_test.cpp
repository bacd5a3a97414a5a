// OpenAI's tools and tool_choice, and the grammars of calls.
#include "serving/constraint/tool_call_format.h"

#include <gtest/gtest.h>

#include "serving/constraint/tool_call_parser.h"
#include "tests/constraint/grammar_support.h"
#include "tests/constraint/schema_validator.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

using nlohmann::ordered_json;

const ordered_json kTools = ordered_json::parse(R"([
  {"type": "function", "function": {"name": "get_weather", "description": "now", "parameters":
    {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12},
      "unit": {"enum": ["C", "F"]}}, "required": ["city"], "additionalProperties": false}}},
  {"type": "function", "function": {"name": "ping"}}])");

TEST(ToolCallFormat, ShapesAreToldFromTheTemplate) {
  EXPECT_EQ(tool_call_shape("... <tool_call></tool_call> ..."), ToolCallShape::hermes);
  EXPECT_EQ(tool_call_shape(R"({"name": function name, "parameters": dictionary of argument})"),
            ToolCallShape::llama3);
  EXPECT_EQ(tool_call_shape("<|im_start|>{{ message }}"), std::nullopt);
}

TEST(ToolCallFormat, ReadsToolsAndGivesMissingParametersNone) {
  const auto tools = read_tools(kTools);
  ASSERT_EQ(tools.size(), 2u);
  EXPECT_EQ(tools[0].name, "get_weather");
  EXPECT_EQ(tools[1].name, "ping");
  EXPECT_EQ(tools[1].parameters, ordered_json::parse(R"({"type":"object","properties":{}})"));
  EXPECT_TRUE(read_tools(nullptr).empty());
}

TEST(ToolCallFormat, ArgumentsAreObjectsWhateverTheSchemaAllowsBeside) {
  const std::pair<const char*, const char*> kNarrowed[] = {
      {"{}", R"({"type":"object","properties":{}})"},
      {R"({"description":"none"})", R"({"description":"none","type":"object"})"},
      {R"({"properties":{"a":{}}})", R"({"properties":{"a":{}},"type":"object"})"},
      {R"({"type":["null","object"]})", R"({"type":"object"})"},
      {R"({"anyOf":[{"type":"object","required":["a"]},{"type":"null"},true]})",
       R"({"anyOf":[{"type":"object","required":["a"]},{"type":"object"}]})"},
      {R"({"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}})",
       R"({"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}})"},
      {R"({"enum":[1,{"a":2}]})", R"({"enum":[1,{"a":2}],"type":"object"})"},
  };
  for (const auto& [given, narrowed] : kNarrowed) {
    const ordered_json tool = {
        {"function", {{"name", "a"}, {"parameters", ordered_json::parse(given)}}}};
    EXPECT_EQ(read_tools(ordered_json::array({tool}))[0].parameters, ordered_json::parse(narrowed))
        << given;
  }
}

TEST(ToolCallFormat, BadToolsAreRefusedByPlace) {
  const char* const kNoObject = "tools[0].function.parameters must describe an object";
  const std::pair<const char*, const char*> kBad[] = {
      {"{}", "tools must be a list"},
      {"[1]", "tools[0] must be an object"},
      {R"([{"type":"web_search"}])", "tools[0].type must be \"function\""},
      {R"([{"type":"function"}])", "tools[0].function is missing"},
      {R"([{"function":{}}])", "tools[0].function.name is missing"},
      {R"([{"function":{"name":"a b"}}])",
       "tools[0].function.name must be 1 to 64 letters, digits, '_' or '-'"},
      {R"([{"function":{"name":"a","parameters":[]}}])",
       "tools[0].function.parameters must be an object"},
      {R"([{"function":{"name":"a","parameters":{"type":"array"}}}])", kNoObject},
      {R"([{"function":{"name":"a","parameters":{"type":["string","null"]}}}])", kNoObject},
      {R"([{"function":{"name":"a","parameters":{"anyOf":[{"type":"null"},false]}}}])", kNoObject},
      {R"([{"function":{"name":"a","parameters":{"$ref":"#/$defs/x","$defs":{"x":{"$ref":"#/$defs/y"},"y":{"type":"string"}}}}}])",
       kNoObject},
      {R"([{"function":{"name":"a"}},{"function":{"name":"a"}}])",
       "tools[1].function.name 'a' is used twice"},
  };
  for (const auto& [text, message] : kBad) {
    expect_error([&] { read_tools(ordered_json::parse(text)); }, Exit::usage, message);
  }
}

TEST(ToolCallFormat, ReadsToolChoice) {
  using Kind = ToolChoice::Kind;
  const auto tools = read_tools(kTools);
  EXPECT_EQ(read_tool_choice(nullptr, tools).kind, Kind::automatic);
  EXPECT_EQ(read_tool_choice(nullptr, {}).kind, Kind::none);
  EXPECT_EQ(read_tool_choice("none", tools).kind, Kind::none);
  EXPECT_EQ(read_tool_choice("auto", tools).kind, Kind::automatic);
  EXPECT_EQ(read_tool_choice("required", tools).kind, Kind::required);
  const auto named =
      read_tool_choice({{"type", "function"}, {"function", {{"name", "ping"}}}}, tools);
  EXPECT_EQ(named.kind, Kind::named);
  EXPECT_EQ(named.name, "ping");
  expect_error([&] { read_tool_choice("required", {}); }, Exit::usage,
               "tool_choice 'required' needs tools");
  expect_error([&] { read_tool_choice("maybe", tools); }, Exit::usage,
               "tool_choice must be 'none', 'auto', 'required' or name a function");
  expect_error(
      [&] {
        read_tool_choice({{"function", {{"name", "pong"}}}}, tools);
      },
      Exit::usage, "tool_choice names 'pong', which is not among the tools");
}

TEST(ToolCallFormat, RequiredAllowsCallsAndNothingElse) {
  const auto tools = read_tools(kTools);
  const auto grammar =
      tool_call_grammar(tools, {ToolChoice::Kind::required, ""}, ToolCallShape::hermes);
  const std::string ping = "<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>";
  const std::string weather =
      "<tool_call>\n{\"name\":\"get_weather\",\"arguments\":{\"city\": \"Rome\",\"unit\":\"C\"}}\n"
      "</tool_call>";
  EXPECT_TRUE(matches(grammar, ping));
  EXPECT_TRUE(matches(grammar, weather + "\n" + ping));
  EXPECT_FALSE(matches(grammar, "Hello"));
  EXPECT_FALSE(
      matches(grammar, "<tool_call>\n{\"name\": \"pong\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(matches(
      grammar, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {}}\n</tool_call>"));
  const auto single =
      tool_call_grammar(tools, {ToolChoice::Kind::required, ""}, ToolCallShape::hermes, false);
  EXPECT_TRUE(matches(single, ping));
  EXPECT_FALSE(matches(single, ping + "\n" + ping));
}

TEST(ToolCallFormat, ANamedFunctionIsTheOnlyOne) {
  const auto tools = read_tools(kTools);
  const auto grammar =
      tool_call_grammar(tools, {ToolChoice::Kind::named, "ping"}, ToolCallShape::llama3);
  EXPECT_TRUE(matches(grammar, R"({"name": "ping", "parameters": {}})"));
  EXPECT_FALSE(matches(grammar, R"({"name": "get_weather", "parameters": {"city": "Rome"}})"));
}

TEST(ToolCallFormat, WhatTheGrammarAllowsTheParserReads) {
  const auto tools = read_tools(kTools);
  for (const auto shape : {ToolCallShape::hermes, ToolCallShape::llama3}) {
    const auto shared =
        with_bytes(tool_call_grammar(tools, {ToolChoice::Kind::required, ""}, shape));
    for (uint64_t seed = 0; seed < 40; ++seed) {
      Random random(seed);
      const std::string text = random_text(Constraint(shared), random);
      ToolCallParser parser(shape, {"get_weather", "ping"});
      ToolCallDelta all = parser.feed(text);
      const ToolCallDelta rest = parser.finish();
      EXPECT_EQ(all.content + rest.content, "") << text;
      all.calls.insert(all.calls.end(), rest.calls.begin(), rest.calls.end());
      ASSERT_FALSE(all.calls.empty()) << text;
      for (const ToolCall& call : all.calls) {
        const size_t index = call.name == "ping" ? 1 : 0;
        EXPECT_EQ(
            SchemaValidator(tools[index].parameters).problem(ordered_json::parse(call.arguments)),
            "")
            << text;
      }
    }
  }
}

TEST(ToolCallFormat, AnUnsupportedParameterNamesItsPlace) {
  const auto tools = read_tools(ordered_json::parse(R"([{"function":{"name":"f","parameters":
      {"type":"object","properties":{"a":{"multipleOf":2}}}}}])"));
  expect_error(
      [&] {
        tool_call_grammar(tools, {ToolChoice::Kind::required, ""}, ToolCallShape::hermes);
      },
      Exit::usage, "'multipleOf' is not supported (tools[0].function.parameters.properties.a)");
}

}  // namespace
}  // namespace llm
