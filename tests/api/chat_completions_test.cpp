#include "serving/http/api/chat_completions.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/api/served.h"

namespace llm {
namespace {

using test::greedy_text;
using test::Json;
using test::LetterTokenizer;
using test::Served;
using test::with;

const Json kChat = {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
                    {"max_tokens", 8},
                    {"temperature", 0}};

TEST(ChatCompletions, TheAnswerFollowsTheTemplate) {
  const Served api;
  const Json answer = api.post("/v1/chat/completions", kChat);
  const auto prompt = LetterTokenizer().encode("[user]hi\n[assistant]");
  EXPECT_EQ(answer["choices"][0]["message"]["content"], greedy_text(api.model, prompt, 8));
  EXPECT_EQ(answer["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], prompt.size());
  const Json parts = {
      {"messages", Json::array({{{"role", "user"},
                                 {"content", Json::array({{{"type", "text"}, {"text", "h"}},
                                                          {{"type", "text"}, {"text", "i"}}})}}})},
      {"max_tokens", 8},
      {"temperature", 0}};
  EXPECT_EQ(api.post("/v1/chat/completions", parts)["choices"][0]["message"]["content"],
            answer["choices"][0]["message"]["content"]);
}

TEST(ChatCompletions, AStreamBeginsWithTheRoleAndEndsWithUsage) {
  const Served api;
  const Json whole = api.post("/v1/chat/completions", kChat);
  const auto events =
      api.events("/v1/chat/completions",
                 with(kChat, {{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  std::string text;
  for (const Json& event : events) {
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    if (!event["choices"].empty()) text += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(text, whole["choices"][0]["message"]["content"]);
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 8);
}

TEST(ChatCompletions, WithoutALimitTheAnswerMayFillTheContext) {
  const Served api;
  Json body = kChat;
  body.erase("max_tokens");
  const Json usage = api.post("/v1/chat/completions", body)["usage"];
  EXPECT_EQ(usage["total_tokens"], test::kContext);
}

TEST(ChatCompletions, LogprobsNameTokensAndTheirBytes) {
  const Served api;
  const Json answer =
      api.post("/v1/chat/completions", with(kChat, {{"logprobs", true}, {"top_logprobs", 3}}));
  const Json& first = answer["choices"][0]["logprobs"]["content"][0];
  const std::string text = answer["choices"][0]["message"]["content"];
  EXPECT_EQ(first["token"], text.substr(0, 1));
  EXPECT_EQ(first["bytes"], Json::array({static_cast<int>(text[0])}));
  ASSERT_EQ(first["top_logprobs"].size(), 3u);
  EXPECT_EQ(first["top_logprobs"][0]["logprob"], first["logprob"]);
}

TEST(ChatCompletions, AStructuredAnswerValidates) {
  const Served api;
  const Json schema = Json::parse(R"({"type":"object","properties":{"name":{"type":"string",
      "maxLength":5},"age":{"type":"integer","minimum":0,"maximum":99}},
      "required":["name","age"],"additionalProperties":false})");
  const Json answer = api.post(
      "/v1/chat/completions",
      with(kChat,
           {{"max_tokens", 100},
            {"response_format",
             {{"type", "json_schema"}, {"json_schema", {{"name", "p"}, {"schema", schema}}}}}}));
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
  const Json made = Json::parse(answer["choices"][0]["message"]["content"].get<std::string>());
  EXPECT_EQ(made.begin().key(), "name");
  EXPECT_LE(made["age"].get<int>(), 99);
  EXPECT_LE(made["name"].get<std::string>().size(), 5u);
}

/// A model's template that takes tools, in the Hermes shape.
constexpr const char* kToolTemplate =
    "{% if tools %}{% for t in tools %}{{ t.function.name }}{% endfor %}<tool_call>{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]";

Json tool_body() {
  return {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
          {"max_tokens", 200},
          {"temperature", 0},
          {"tools", Json::parse(R"([{"type":"function","function":{"name":"add","parameters":
              {"type":"object","properties":{"a":{"type":"integer","minimum":0,"maximum":9},
              "b":{"type":"boolean"}},"required":["a","b"],"additionalProperties":false}}}])")}};
}

Served with_tools() {
  return Served({}, [](auto& model, auto&) {
    std::ofstream(model.directory / "chat_template.jinja") << kToolTemplate;
  });
}

TEST(ChatCompletions, ARequiredCallIsMadeWithValidArguments) {
  const Served api = with_tools();
  for (const Json& choice :
       {Json("required"), Json::parse(R"({"type":"function","function":{"name":"add"}})")}) {
    const Json body = with(tool_body(), {{"tool_choice", choice}, {"parallel_tool_calls", false}});
    const Json answer = api.post("/v1/chat/completions", body)["choices"][0];
    EXPECT_EQ(answer["finish_reason"], "tool_calls");
    EXPECT_TRUE(answer["message"]["content"].is_null());
    ASSERT_EQ(answer["message"]["tool_calls"].size(), 1u);
    const Json& call = answer["message"]["tool_calls"][0];
    EXPECT_EQ(call["function"]["name"], "add");
    const Json arguments = Json::parse(call["function"]["arguments"].get<std::string>());
    EXPECT_LE(arguments["a"].get<int>(), 9);
    EXPECT_TRUE(arguments["b"].is_boolean());

    std::string streamed;
    Json reason;
    for (const Json& event : api.events("/v1/chat/completions", with(body, {{"stream", true}}))) {
      const Json& piece = event["choices"][0];
      if (piece["delta"].contains("tool_calls")) {
        EXPECT_EQ(piece["delta"]["tool_calls"][0]["index"], 0);
        streamed += piece["delta"]["tool_calls"][0]["function"]["arguments"].get<std::string>();
      }
      EXPECT_TRUE(piece["delta"].value("content", Json(nullptr)).is_null());  // as in the whole
      reason = piece["finish_reason"];
    }
    EXPECT_EQ(streamed, call["function"]["arguments"]);
    EXPECT_EQ(reason, "tool_calls");
  }
}

/// The model writes this text after whatever it was given, and ends.
void recite(const Served& api, const std::string& text) {
  const_cast<CountingModel&>(api.model).write = [=](const std::vector<int32_t>& ids,
                                                    std::span<float> logits) {
    const std::string marker = "[assistant]";
    std::string so_far;
    for (const int32_t id : ids) so_far += LetterTokenizer().token_bytes(id);
    const size_t place = so_far.size() - so_far.find(marker) - marker.size();
    std::fill(logits.begin(), logits.end(), 0.0f);
    const int32_t next = place < text.size() ? LetterTokenizer::id_of(text[place]) : 2;
    logits[static_cast<size_t>(next)] = 30.0f;
  };
}

TEST(ChatCompletions, OneCallIsTheMostWhereCallsMayNotBeParallel) {
  const Served api = with_tools();
  const std::string call =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  recite(api, "so " + call + "\n" + call);
  for (const auto& [parallel, calls] :
       {std::pair{Json(true), 2u}, std::pair{Json(nullptr), 2u}, std::pair{Json(false), 1u}}) {
    const Json body = with(tool_body(), {{"parallel_tool_calls", parallel}});
    const Json whole = api.post("/v1/chat/completions", body);
    const Json& answer = whole["choices"][0];
    EXPECT_EQ(answer["message"]["tool_calls"].size(), calls) << answer;
    EXPECT_EQ(answer["message"]["content"], "so");
    EXPECT_EQ(answer["finish_reason"], "tool_calls");
    // One token a letter; where one call is the most, none is computed behind it.
    const size_t letters = ("so " + call).size();
    EXPECT_EQ(whole["usage"]["completion_tokens"],
              calls == 1 ? letters : letters + 1 + call.size() + 1);
    size_t streamed = 0;
    std::string content;
    for (const Json& event : api.events(
             "/v1/chat/completions",
             with(body, {{"stream", true}, {"stream_options", {{"include_usage", true}}}}))) {
      if (event["choices"].empty()) {
        EXPECT_EQ(event["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
        break;
      }
      const Json& delta = event["choices"][0]["delta"];
      streamed += delta.value("tool_calls", Json::array()).size();
      content += delta.value("content", "");
    }
    EXPECT_EQ(streamed, calls);
    EXPECT_EQ(content, "so");
  }
}

TEST(ChatCompletions, ToolsThatAreNotWantedChangeNothing) {
  const Served api = with_tools();
  Json without = tool_body();
  without.erase("tools");
  EXPECT_EQ(
      api.post("/v1/chat/completions", with(tool_body(), {{"tool_choice", "none"}}))["choices"],
      api.post("/v1/chat/completions", without)["choices"]);
}

TEST(ChatCompletions, ATemplateWithoutToolsRefusesThem) {
  const Served api;
  EXPECT_EQ(api.post("/v1/chat/completions", tool_body(), 400)["error"]["message"],
            "tools: this model's chat template does not take tools");
}

TEST(ChatCompletions, AToolChoiceIsRefusedByItsName) {
  const Served api = with_tools();
  for (const Json& choice : {Json("maybe"), Json(3), Json({{"function", {{"name", "sub"}}}})}) {
    const Json body = with(tool_body(), {{"tool_choice", choice}});
    EXPECT_EQ(api.post("/v1/chat/completions", body, 400)["error"]["param"], "tool_choice");
  }
  const Json error =
      api.post("/v1/chat/completions", with(kChat, {{"tool_choice", "required"}}), 400)["error"];
  EXPECT_EQ(error["param"], "tool_choice");
  EXPECT_EQ(error["message"], "tool_choice 'required' needs tools");
  EXPECT_EQ(api.post("/v1/chat/completions", with(kChat, {{"tools", Json::array({1})}}),
                     400)["error"]["param"],
            "tools");
}

TEST(ChatCompletions, OnlyAnAssistantMayHaveSaidNothing) {
  const Served api;
  const Json user = {{"role", "user"}, {"content", "hi"}};
  const auto prompt_of = [&](const Json& message, int status) {
    return api.post("/apply-template", {{"messages", {user, message}}}, status);
  };
  for (const char* role : {"user", "system", "developer", "tool", "function"}) {
    const Json error = prompt_of({{"role", role}, {"content", nullptr}}, 400)["error"];
    EXPECT_EQ(error["message"], "messages[1].content must be a text or a list of parts") << role;
    EXPECT_EQ(error["param"], "messages[1]") << role;
    EXPECT_EQ(prompt_of({{"role", role}, {"tool_calls", Json::array()}}, 400)["error"]["message"],
              "'messages[1].content' is required");
  }
  const Json empty = prompt_of({{"role", "assistant"}, {"content", ""}}, 200);
  for (const Json& calls : {Json(), Json::array()})
    EXPECT_EQ(prompt_of({{"role", "assistant"}, {"content", nullptr}, {"tool_calls", calls}}, 200),
              empty);
  const Json call = {
      {"id", "a"}, {"type", "function"}, {"function", {{"name", "add"}, {"arguments", "{}"}}}};
  const Json calling = {
      {"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::array({call})}};
  EXPECT_NE(prompt_of(calling, 200), empty);  // templates that know calls look at null
}

TEST(ChatCompletions, BadMessagesAreNamed) {
  const Served api;
  const auto refusal = [&](const char* body) {
    const auto answer = api.ask("POST", "/v1/chat/completions", body);
    EXPECT_EQ(answer.status, 400);
    return Json::parse(answer.body)["error"]["message"].get<std::string>();
  };
  EXPECT_EQ(refusal("{}"), "'messages' is required");
  EXPECT_EQ(refusal(R"({"messages":[]})"), "messages must hold at least one message");
  EXPECT_EQ(
      refusal(R"({"messages":[{"role":"user","content":"a"},{"role":"robot","content":"a"}]})"),
      "messages[1].role 'robot' is unknown");
  EXPECT_EQ(refusal(R"({"messages":[{"content":"a"}]})"), "'messages[0].role' is required");
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user"}]})"), "'messages[0].content' is required");
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"),
            "messages[0].content: only parts of type text are supported");
  const auto assistant = [&](const std::string& members) {
    return refusal(("{\"messages\":[{\"role\":\"assistant\"," + members + "}]}").c_str());
  };
  EXPECT_EQ(assistant(R"("content":"a","name":5)"), "messages[0].name must be text");
  EXPECT_EQ(assistant(R"("content":null,"tool_calls":"x")"),
            "messages[0].tool_calls must be a list");
  for (const char* call : {"\"x\"", "{}", "{\"function\":5}", "{\"function\":{\"name\":5}}"})
    EXPECT_EQ(assistant(fmt::format("\"content\":null,\"tool_calls\":[{}]", call)),
              "messages[0].tool_calls[0].function.name must be text");
  EXPECT_EQ(assistant(R"("tool_calls":[{"function":{"name":"f","arguments":[1]}}])"),
            "messages[0].tool_calls[0].function.arguments must be text");
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user","content":"a"}],"top_logprobs":2})"),
            "top_logprobs needs logprobs: true");
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user","content":"a"}],"best_of":2})"),
            "best_of must be 1");
  const Json error =
      api.post("/v1/chat/completions", with(kChat, {{"logprobs", true}, {"top_logprobs", 99}}),
               400)["error"];
  EXPECT_EQ(error["message"], "top_logprobs must be between 0 and 20");
  EXPECT_EQ(error["code"], "invalid_value");
}

TEST(ChatCompletions, AnOrderThatTheTemplateRefusesIsNamed) {
  const Served api({}, [](auto& model, auto&) {
    std::ofstream(model.directory / "chat_template.jinja")
        << "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
           "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
           "{{ m.content }}{% endfor %}";
  });
  const Json user = {{"role", "user"}, {"content", "a"}};
  const Json twice = with(kChat, {{"messages", Json::array({user, user})}});
  const Json error = api.post("/v1/chat/completions", twice, 400)["error"];
  EXPECT_EQ(error["code"], "invalid_value");
  EXPECT_EQ(error["param"], "messages");
  EXPECT_NE(error["message"].get<std::string>().find("roles must alternate user/assistant"),
            std::string::npos)
      << error;
  api.post("/v1/chat/completions", kChat);
}

}  // namespace
}  // namespace llm
