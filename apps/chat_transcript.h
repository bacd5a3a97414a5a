// A conversation as messages, and as the prompt that a model is given for its next reply.
//
// With a chat template the prompt is what the template makes of the messages: what it wrote may
// become special tokens, what anybody said never does (tokenizer/chat_encoder.h). Without one the
// messages are one plain text: the system message and a newline, then each message with its reply
// directly behind it and a newline after the reply; the last message is what the model goes on
// from. Texts are valid UTF-8. Throws what the template throws. One thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/chat_encoder.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llm {

struct ChatTurn {
  std::string message, reply;
  bool answered = false;
};

struct ChatPrompt {
  std::string text;
  std::vector<int32_t> ids;  // at least one
};

class ChatTranscript {
 public:
  /// Keeps a reference to the tokenizer.
  ChatTranscript(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat_template);

  std::string system;  // "": none
  std::vector<ChatTurn> turns;

  bool has_template() const { return template_.has_value(); }
  /// Everything said, as [{role, content}].
  nlohmann::ordered_json messages() const { return messages_from(0, turns.size()); }
  /// For the reply to the last turn, whatever its present reply, without the turns before `first`.
  ChatPrompt prompt(size_t first) const;

 private:
  nlohmann::ordered_json messages_from(size_t first, size_t replies) const;
  std::string plain_text(size_t first) const;

  const Tokenizer& tokenizer_;
  ChatEncoder encoder_;
  std::optional<ChatTemplate> template_;
};

}  // namespace llm
