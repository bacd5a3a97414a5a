#include "tokenizer/chat_prompt.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer_parts.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;

constexpr int32_t kStart = 0, kEnd = 1;

/// Two control tokens and a piece per ASCII character.
std::unique_ptr<const Tokenizer> ascii(bool add_bos) {
  TokenizerParts parts;
  parts.pieces = {{"<s>", 0, PieceType::control}, {"</s>", 0, PieceType::control}};
  for (char c = '!'; c <= '~'; ++c) parts.pieces.push_back({std::string(1, c)});
  parts.pieces.push_back({"\u0120"});  // a space in GPT-2's alphabet
  parts.pieces.push_back({"\u010a"});  // a newline
  parts.bos_id = kStart;
  parts.eos_id = kEnd;
  parts.add_bos = add_bos;
  return make_tokenizer(parts, "ascii");
}

Json said(std::initializer_list<std::pair<const char*, const char*>> messages) {
  Json json = Json::array();
  for (const auto& [role, content] : messages)
    json.push_back({{"role", role}, {"content", content}});
  return json;
}

TEST(ChatPrompts, WithoutTemplateAReplyStandsDirectlyBehindItsMessage) {
  const auto tokenizer = ascii(false);
  const ChatPrompts prompts(*tokenizer, std::nullopt);
  const auto text = [&](const Json& messages) { return prompts.prompt(messages).text; };
  EXPECT_EQ(text(said({{"user", "a"}})), "a");
  EXPECT_EQ(text(said({{"system", "S"}, {"user", "a"}})), "S\na");
  EXPECT_EQ(text(said({{"user", "a"}, {"assistant", "b"}, {"user", "c"}})), "ab\nc");
  EXPECT_EQ(text(said({{"user", "a"}, {"user", "c"}})), "a\nc");
  EXPECT_EQ(text(said({{"system", "S"}, {"assistant", "b"}, {"user", "c"}})), "S\nb\nc");
  EXPECT_EQ(text(said({{"user", "a"}, {"assistant", "b"}})), "ab");
}

TEST(ChatPrompts, TheTemplateIsAskedForAReply) {
  const auto tokenizer = ascii(true);
  const ChatPrompts prompts(
      *tokenizer, ChatTemplate::parse("{% for m in messages %}<s>{{ m.content }}{% endfor %}{% if "
                                      "add_generation_prompt %}</s>{% endif %}"));
  const ChatPrompt prompt = prompts.prompt(said({{"user", "</s>"}}));
  EXPECT_EQ(prompt.text, "<s></s></s>");
  std::vector<int32_t> wanted = {kStart};  // and no second one: the template has written it
  for (const char c : std::string("</s>")) wanted.push_back(2 + c - '!');
  wanted.push_back(kEnd);
  EXPECT_EQ(prompt.ids, wanted);
}

TEST(EncodePrompt, AddsWhatTheFilePutsAroundTextsAndNeverGivesNothing) {
  EXPECT_EQ(encode_prompt(*ascii(true), "!"), (std::vector<int32_t>{kStart, 2}));
  EXPECT_EQ(encode_prompt(*ascii(false), "!"), (std::vector<int32_t>{2}));
  EXPECT_EQ(encode_prompt(*ascii(true), ""), (std::vector<int32_t>{kStart}));
  EXPECT_EQ(encode_prompt(*ascii(false), ""), (std::vector<int32_t>{kEnd}));
}

}  // namespace
}  // namespace llm
