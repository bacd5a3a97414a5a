// Messages as the prompt that a model is given for its next reply.
//
// With a chat template the prompt is what the template makes of the messages: what it wrote may
// become special tokens, what anybody said never does (chat_encoder.h). Without one the messages
// are one plain text: the system message and a newline, then each message with its reply directly
// behind it and a newline after the reply; the last message is what the model goes on from. Texts
// are valid UTF-8. Throws what the template throws. Const and thread-safe; the tokenizer must
// outlive it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/chat_encoder.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llm {

struct ChatPrompt {
  std::string text;
  std::vector<int32_t> ids;  // at least one
};

class ChatPrompts {
 public:
  ChatPrompts(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat_template);

  bool has_template() const { return template_.has_value(); }
  /// messages: [{role, content}, ...], the last of them what is to be replied to.
  ChatPrompt prompt(nlohmann::ordered_json messages) const;

 private:
  const Tokenizer& tokenizer_;
  ChatEncoder encoder_;
  std::optional<ChatTemplate> template_;
};

/// A text as the prompt of a model: what the tokenizer's file puts around texts is there, and an
/// empty one stands where one document ended and the next begins.
std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

}  // namespace llm
