// Where chat templates and special tokens are found in a model directory, and what is wrong there.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/chat_template.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::string rendered(const ChatTemplate& chat, bool tools = false) {
  ChatInputs inputs;
  inputs.messages = {{{"role", "user"}, {"content", "hi"}}};
  if (tools) inputs.tools = nlohmann::ordered_json::array();
  return chat.render(inputs).text;
}

TEST(ChatTemplateFiles, TextInTokenizerConfig) {
  TemporaryFolder model;
  EXPECT_FALSE(ChatTemplate::exists(model.path()));
  model.write("tokenizer_config.json",
              R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "special": true},
                  "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"})");
  EXPECT_TRUE(ChatTemplate::exists(model.path()));
  EXPECT_EQ(rendered(ChatTemplate::load(model.path())), "<s>hi</s>");
}

TEST(ChatTemplateFiles, ListInTokenizerConfigChoosesByTools) {
  TemporaryFolder model;
  model.write("tokenizer_config.json",
              R"({"chat_template": [{"name": "default", "template": "plain"},
                                    {"name": "tool_use", "template": "with tools"}]})");
  const ChatTemplate chat = ChatTemplate::load(model.path());
  EXPECT_EQ(rendered(chat), "plain");
  EXPECT_EQ(rendered(chat, true), "with tools");
  EXPECT_EQ(chat.source(), "plain");
}

TEST(ChatTemplateFiles, ListWithoutDefaultSaysWhatThereIs) {
  TemporaryFolder model;
  model.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "rag", "template": "r"}, {"name": "tool_use", "template": "t"}]})");
  const ChatTemplate chat = ChatTemplate::load(model.path());
  EXPECT_EQ(rendered(chat, true), "t");
  expect_error([&] { rendered(chat); }, Exit::bad_input,
               "no chat template is called 'default' (there are: rag, tool_use)");
}

TEST(ChatTemplateFiles, FileOfItsOwnComesFirst) {
  TemporaryFolder model;
  model.write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": "old"})");
  model.write("chat_template.json", R"({"chat_template": "middle"})");
  EXPECT_EQ(rendered(ChatTemplate::load(model.path())), "middle");
  model.write("chat_template.jinja", "{{ bos_token }}new\n");
  fs::create_directory(model / "additional_chat_templates");
  model.write("additional_chat_templates/tool_use.jinja", "tools");
  const ChatTemplate chat = ChatTemplate::load(model.path());
  EXPECT_EQ(rendered(chat), "<s>new");
  EXPECT_EQ(rendered(chat, true), "tools");
  EXPECT_EQ(rendered(ChatTemplate::load_file(model.write("mine.jinja", "mine {{ bos_token }}"),
                                             model.path())),
            "mine <s>");
}

TEST(ChatTemplateFiles, TokensOfTheMapFillWhatTheConfigLacks) {
  TemporaryFolder model;
  model.write("tokenizer_config.json", R"({"bos_token": "<a>", "eos_token": null})");
  model.write("special_tokens_map.json",
              R"({"bos_token": "<b>", "eos_token": {"content": "<c>"}})");
  EXPECT_EQ(special_token_texts(model.path()),
            (std::map<std::string, std::string>{{"bos_token", "<a>"}, {"eos_token", "<c>"}}));
}

TEST(ChatTemplateFiles, WhatIsWrongIsNamed) {
  TemporaryFolder model;
  const std::string config = (model / "tokenizer_config.json").string();
  const auto load = [&] { ChatTemplate::load(model.path()); };
  expect_error(load, Exit::bad_input, "'" + model.path().string() + "' has no chat template",
               "a base model has none; give one with --chat-template FILE");
  model.write("tokenizer_config.json", R"({"chat_template": 5})");
  expect_error_with(load, Exit::bad_input, config + ": chat_template");
  model.write("tokenizer_config.json", R"({"chat_template": [{"name": "a"}]})");
  expect_error_with(load, Exit::bad_input, config + ": chat_template[0]");
  model.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "a", "template": "x"}, {"name": "a", "template": "y"}]})");
  expect_error_with(load, Exit::bad_input, "repeats the name 'a'");
  model.write("tokenizer_config.json", R"({"chat_template": "a\nb\n{% endfor %}"})");
  expect_error(load, Exit::bad_input, "chat_template line 3: unexpected 'endfor'");  // 7.3 row 19
  model.write("chat_template.jinja", std::string(524'289, ' '));
  expect_error_with(load, Exit::bad_input, "chat_template.jinja' is larger than 512.0 KiB");
  model.write("chat_template.jinja", "ab\xff");
  expect_error(load, Exit::bad_input,
               (model / "chat_template.jinja").string() + ": invalid UTF-8 at byte 2");
}

}  // namespace
}  // namespace llm
