#include "apps/chat_transcript.h"

#include <utility>

#include "tokenizer/chat_inputs.h"

namespace llm {

ChatTranscript::ChatTranscript(const Tokenizer& tokenizer,
                               std::optional<ChatTemplate> chat_template)
    : tokenizer_(tokenizer), encoder_(tokenizer), template_(std::move(chat_template)) {}

/// Of the turns from `first` on; the replies of those before the `replies`-th.
nlohmann::ordered_json ChatTranscript::messages_from(size_t first, size_t replies) const {
  using Json = nlohmann::ordered_json;
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  for (size_t i = first; i < turns.size(); ++i) {
    messages.push_back({{"role", "user"}, {"content", turns[i].message}});
    if (turns[i].answered && i < replies)
      messages.push_back({{"role", "assistant"}, {"content", turns[i].reply}});
  }
  return messages;
}

std::string ChatTranscript::plain_text(size_t first) const {
  std::string text;
  if (!system.empty()) text = system + "\n";
  for (size_t i = first; i < turns.size(); ++i) {
    text += turns[i].message;
    if (i + 1 < turns.size()) text += turns[i].reply + "\n";
  }
  return text;
}

ChatPrompt ChatTranscript::prompt(size_t first) const {
  ChatPrompt prompt;
  if (template_) {
    ChatInputs inputs;
    inputs.messages = messages_from(first, turns.size() - 1);
    inputs.add_generation_prompt = true;
    RenderedChat rendered = template_->render(inputs);
    prompt.ids = encoder_.encode(rendered);
    prompt.text = std::move(rendered.text);
  } else {
    prompt.text = plain_text(first);
    prompt.ids = tokenizer_.with_template(tokenizer_.encode(prompt.text));
  }
  if (prompt.ids.empty()) prompt.ids.push_back(tokenizer_.eos_id());  // a document begins
  return prompt;
}

}  // namespace llm
