#include "tokenizer/chat_prompt.h"

#include <utility>

#include "tokenizer/chat_inputs.h"

namespace llm {
namespace {

std::string plain_conversation(const nlohmann::ordered_json& messages) {
  std::string text;
  for (size_t i = 0; i < messages.size(); ++i) {
    text += messages[i].at("content").get<std::string>();
    if (i + 1 == messages.size()) break;
    const bool replied =
        messages[i].at("role") == "user" && messages[i + 1].at("role") == "assistant";
    if (!replied) text += '\n';
  }
  return text;
}

}  // namespace

ChatPrompts::ChatPrompts(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat_template)
    : tokenizer_(tokenizer), encoder_(tokenizer), template_(std::move(chat_template)) {}

ChatPrompt ChatPrompts::prompt(nlohmann::ordered_json messages) const {
  ChatPrompt prompt;
  if (!template_) {
    prompt.text = plain_conversation(messages);
    prompt.ids = encode_prompt(tokenizer_, prompt.text);
    return prompt;
  }
  ChatInputs inputs;
  inputs.messages = std::move(messages);
  inputs.add_generation_prompt = true;
  RenderedChat rendered = template_->render(inputs);
  prompt.ids = encoder_.encode(rendered);
  if (prompt.ids.empty()) prompt.ids.push_back(tokenizer_.eos_id());  // a document begins
  prompt.text = std::move(rendered.text);
  return prompt;
}

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.with_template(tokenizer.encode(text));
  if (ids.empty()) ids.push_back(tokenizer.eos_id());
  return ids;
}

}  // namespace llm
