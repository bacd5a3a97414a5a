// A conversation as messages, and as the prompt for its next reply (tokenizer/chat_prompt.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/chat_prompt.h"

namespace llm {

struct ChatTurn {
  std::string message, reply;
  bool answered = false;
};

class ChatTranscript {
 public:
  explicit ChatTranscript(ChatPrompts prompts) : prompts_(std::move(prompts)) {}

  std::string system;  // "": none
  std::vector<ChatTurn> turns;

  bool has_template() const { return prompts_.has_template(); }
  /// Everything said, as [{role, content}].
  nlohmann::ordered_json messages() const { return messages_from(0, turns.size()); }
  /// For the reply to the last turn, whatever its present reply, without the turns before `first`.
  ChatPrompt prompt(size_t first) const {
    return prompts_.prompt(messages_from(first, turns.size() - 1));
  }

 private:
  nlohmann::ordered_json messages_from(size_t first, size_t replies) const;

  ChatPrompts prompts_;
};

}  // namespace llm
