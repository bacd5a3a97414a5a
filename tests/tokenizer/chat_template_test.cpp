// Chat templates beside Jinja2: texts recorded by tests/support/make_chat_fixtures.py.
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/json_reader.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tokenizer/chat_inputs.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(LLM_TEST_DATA) / "chat_templates";

Json recorded(const char* name) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  return parse_ordered_json(read_file(kFolder / name), name);
}

std::vector<TextSpan> spans_of(const Json& pairs) {
  std::vector<TextSpan> spans;
  for (const Json& pair : pairs) spans.push_back({pair[0].get<size_t>(), pair[1].get<size_t>()});
  return spans;
}

/// One recorded case: the same text and spans, or a refusal where Jinja refuses.
void expect_same(const std::string& source, const std::map<std::string, std::string>& tokens,
                 const ChatInputs& inputs, const Json& expected) {
  try {
    const RenderedChat chat = ChatTemplate::parse(source, tokens).render(inputs);
    if (expected.contains("error")) {
      ADD_FAILURE() << "Jinja refuses with " << expected["error"] << ", we give: " << chat.text;
      return;
    }
    EXPECT_EQ(chat.text, expected["text"].get<std::string>());
    EXPECT_EQ(chat.generated, spans_of(expected.value("generated", Json::array())));
  } catch (const Error& error) {
    EXPECT_TRUE(expected.contains("error"))
        << error.message() << "\nJinja gives: " << expected.value("text", "");
    EXPECT_EQ(error.message().rfind("chat_template line ", 0), 0u) << error.message();
    EXPECT_EQ(error.code(), Exit::bad_input);
  }
}

TEST(ChatTemplate, FamiliesGiveTheTextsOfJinja) {
  const Json table = recorded("cases.json");
  const auto tokens = table["tokens"].get<std::map<std::string, std::string>>();
  for (const Json& one : table["cases"]) {
    const std::string name = one["template"];
    SCOPED_TRACE(name + ", " + one["title"].get<std::string>());
    ChatInputs inputs;
    inputs.messages = one["messages"];
    inputs.tools = one.value("tools", Json());
    inputs.variables = one.value("variables", Json::object());
    inputs.add_generation_prompt = one["add_generation_prompt"];
    inputs.now = table["now"].get<std::time_t>();
    expect_same(read_file(kFolder / (name + ".jinja")), tokens, inputs, one);
  }
  EXPECT_GT(table["cases"].size(), 250u);
}

TEST(ChatTemplate, SnippetsGiveTheTextsOfJinja) {
  const Json table = recorded("snippets.json");
  ChatInputs inputs;
  inputs.variables = table["data"];
  inputs.now = table["now"].get<std::time_t>();
  for (const Json& one : table["cases"]) {
    SCOPED_TRACE(one["template"].get<std::string>());
    expect_same(one["template"], {}, inputs, one);
  }
  EXPECT_GT(table["cases"].size(), 450u);
}

}  // namespace
}  // namespace llm
