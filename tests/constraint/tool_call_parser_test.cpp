// Calls found in streams of text.
#include "serving/constraint/tool_call_parser.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace llm {
namespace {

constexpr auto kHermes = ToolCallShape::hermes;
constexpr auto kLlama = ToolCallShape::llama3;

ToolCallDelta parse_pieces(ToolCallShape shape, const std::vector<std::string>& pieces,
                           std::vector<std::string> names = {"f", "g"}) {
  ToolCallParser parser(shape, std::move(names));
  ToolCallDelta all;
  const auto add = [&](const ToolCallDelta& delta) {
    all.content += delta.content;
    all.calls.insert(all.calls.end(), delta.calls.begin(), delta.calls.end());
  };
  for (const std::string& piece : pieces) add(parser.feed(piece));
  add(parser.finish());
  return all;
}

struct Answer {
  ToolCallShape shape;
  std::string text;
  ToolCallDelta expected;
};

const Answer kAnswers[] = {
    {kHermes, "Hello.", {"Hello.", {}}},
    {kHermes, "", {"", {}}},
    {kHermes, "a < b <tool", {"a < b <tool", {}}},
    {kHermes,
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1,  2]}}\n</tool_call>",
     {"", {{"f", "{\"a\": [1,  2]}"}}}},
    {kHermes,
     "I look.\n<tool_call>{\"arguments\":{},\"name\":\"f\"}</tool_call>\n",
     {"I look.", {{"f", "{}"}}}},
    {kHermes,
     "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"t\":\"</tool_call>}\\\"{\"}}\n</tool_call>\n"
     "<tool_call>\n{\"name\":\"g\"}\n</tool_call> done",
     {"done", {{"f", "{\"t\":\"</tool_call>}\\\"{\"}"}, {"g", "{}"}}}},
    {kHermes, "<tool_call>{\"name\":\"f\",\"arguments\":{}}", {"", {{"f", "{}"}}}},
    {kHermes, "<tool_call>{\"name\":\"f\",\"arguments\":{}} </tool", {"", {{"f", "{}"}}}},
    {kHermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":{}",
     {"<tool_call>{\"name\":\"f\",\"arguments\":{}", {}}},
    {kHermes, "x <tool_call> no json </tool_call>", {"x <tool_call> no json </tool_call>", {}}},
    {kHermes,
     "<tool_call>{\"name\":\"h\",\"arguments\":{}}</tool_call>",
     {"<tool_call>{\"name\":\"h\",\"arguments\":{}}</tool_call>", {}}},
    {kHermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":\"x\"}</tool_call>",
     {"<tool_call>{\"name\":\"f\",\"arguments\":\"x\"}</tool_call>", {}}},
    {kHermes,
     "<tool_call>{'name':'f'}</tool_call><tool_call>{\"name\":\"g\"}</tool_call>",
     {"<tool_call>{'name':'f'}</tool_call>", {{"g", "{}"}}}},
    {kHermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":{}} extra</tool_call>",
     {"<tool_call>{\"name\":\"f\",\"arguments\":{}} extra</tool_call>", {}}},
    {kLlama, "Hello {\"name\":\"f\"}", {"Hello {\"name\":\"f\"}", {}}},
    {kLlama, "{\"name\": \"f\", \"parameters\": {\"é\": \"}\"}}", {"", {{"f", "{\"é\": \"}\"}"}}}},
    {kLlama,
     "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\":\"g\",\"parameters\":{}}\n",
     {"", {{"f", "{}"}, {"g", "{}"}}}},
    {kLlama, "{\"answer\": 42}", {"{\"answer\": 42}", {}}},
    {kLlama, "  {\"name\": \"f\"", {"  {\"name\": \"f\"", {}}},
    {kLlama, "<|python_tag|>print(1)", {"<|python_tag|>print(1)", {}}},
    {kLlama, "", {"", {}}},
};

TEST(ToolCallParser, FindsCallsAndLeavesTheRest) {
  for (const Answer& answer : kAnswers) {
    EXPECT_EQ(parse_pieces(answer.shape, {answer.text}).content, answer.expected.content);
    EXPECT_EQ(parse_pieces(answer.shape, {answer.text}).calls, answer.expected.calls)
        << answer.text;
  }
}

TEST(ToolCallParser, TheResultDoesNotDependOnHowTheTextWasCut) {
  Random random(5);
  for (const Answer& answer : kAnswers) {
    for (int round = 0; round < 30; ++round) {
      std::vector<std::string> pieces;
      for (size_t at = 0; at < answer.text.size();) {
        const size_t length = round == 0 ? 1 : 1 + random.below(9);
        pieces.push_back(answer.text.substr(at, length));
        at += length;
      }
      EXPECT_EQ(parse_pieces(answer.shape, pieces), answer.expected) << answer.text;
    }
  }
}

TEST(ToolCallParser, ContentComesAtOnceUnlessItMayBecomeACall) {
  ToolCallParser parser(kHermes, {});
  EXPECT_EQ(parser.feed("Let me see").content, "Let me see");
  EXPECT_EQ(parser.feed(" <to").content, "");
  EXPECT_EQ(parser.feed("ast>").content, " <toast>");
  EXPECT_EQ(parser.feed("\n<tool_call>{\"name\":").content, "");
  const ToolCallDelta delta = parser.feed("\"any\"}</tool_call>");
  EXPECT_EQ(delta.content, "");
  EXPECT_EQ(delta.calls, (std::vector<ToolCall>{{"any", "{}"}}));
}

TEST(ToolCallParser, LlamaAnswersThatAreNoCallStreamFromTheFirstLetter) {
  ToolCallParser parser(kLlama, {});
  EXPECT_EQ(parser.feed("\n").content, "");
  EXPECT_EQ(parser.feed("H").content, "\nH");
  EXPECT_EQ(parser.feed("i {").content, "i {");
}

TEST(ToolCallParser, TheAnswerEndsWithItsFirstCallWhereTheyMayNotBeParallel) {
  const std::string hermes = "<tool_call>{\"name\":\"f\"}</tool_call>";
  const std::string llama = "{\"name\":\"f\",\"parameters\":{}}";
  for (const auto& [shape, text, content] :
       {std::tuple{kHermes, "a" + hermes + "\n" + hermes + hermes + "b", "a"},
        std::tuple{kLlama, llama + "; " + llama, ""}}) {
    for (const size_t piece : {size_t{1}, size_t{7}, text.size()}) {
      ToolCallParser parser(shape, {}, false);
      ToolCallDelta all;
      for (size_t at = 0; at <= text.size(); at += piece) {
        const ToolCallDelta part =
            at < text.size() ? parser.feed(text.substr(at, piece)) : ToolCallDelta{};
        all.content += part.content;
        all.calls.insert(all.calls.end(), part.calls.begin(), part.calls.end());
      }
      const ToolCallDelta rest = parser.finish();
      all.calls.insert(all.calls.end(), rest.calls.begin(), rest.calls.end());
      EXPECT_EQ(all.content + rest.content, content) << text;
      EXPECT_EQ(all.calls, (std::vector<ToolCall>{{"f", "{}"}})) << text;
    }
  }
}

TEST(ToolCallParser, DeepAndDuplicateArgumentsAreNoCall) {
  const std::string deep =
      "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":" + std::string(100'000, '[') +
      std::string(100'000, ']') + "}}</tool_call>";
  EXPECT_EQ(parse_pieces(kHermes, {deep}).content, deep);
  const std::string twice =
      "<tool_call>{\"name\":\"f\",\"name\":\"g\",\"arguments\":{}}</tool_call>";
  EXPECT_EQ(parse_pieces(kHermes, {twice}).content, twice);
}

}  // namespace
}  // namespace llm
