// How rows of JSON become what a model is fine-tuned on: which text, and which ids of it are
// learnt.
//
// With a chat template, messages (and pairs such as prompt + response, as a user's and an
// assistant's message) are rendered as they will be when the model is served. What is learnt is
// what the template marks by {% generation %}; where it marks nothing, each reply of the
// assistant's is what rendering the chat with it adds to rendering the chat before it as a prompt,
// which includes the token that ends the turn. A reply that the template shows otherwise once more
// messages follow (thoughts cut out of the history, for example) is learnt only where it is the
// last. Without a template the text is plain_text() (json_row.h) and the replies in it are learnt.
//
// Prompt and reply are encoded each by itself, as they are when the model answers. A chat that its
// template ends by a control token gets no further end; every other text ends by the tokenizer's
// eos, which is learnt where the text before it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/json_row.h"
#include "tokenizer/chat_encoder.h"
#include "tokenizer/chat_template.h"

namespace llm {

struct ChatFormat {
  std::shared_ptr<const ChatTemplate> chat_template;  // null: plain text
  bool train_on_prompt = true;                        // everything is learnt

  /// Rows are what TextReader makes of them, and all of it is learnt.
  bool plain() const { return chat_template == nullptr && train_on_prompt; }
};

/// The template that a model without one is given when it is fine-tuned on chats: a line with the
/// role, then what was said; a reply ends by the eos token, and the chat begins by bos where the
/// tokenizer begins every text so.
std::string plain_chat_template(const Tokenizer& tokenizer);

/// Where a dataset keeps the template that its conversations were rendered with; absent where it
/// holds none.
std::filesystem::path dataset_template_path(const std::filesystem::path& prefix);

/// The control token by which the template ends a reply; nothing where it has none.
std::optional<int32_t> turn_end(const Tokenizer& tokenizer, const ChatFormat& format);

/// Encodes rows. Const and thread-safe; the tokenizer must outlive it.
class RowEncoder {
 public:
  RowEncoder(const Tokenizer& tokenizer, ChatFormat format);

  struct Row {
    MarkedIds marked;
    int64_t text_bytes = 0;
    bool from_template = false;  // rendered: no bos is due
    bool ends_itself = false;    // no eos is due
  };
  /// `place` stands in front of complaints; the template's own are among them. Exit 3.
  Row encode(const RowContent& content, std::string_view place) const;

 private:
  Row encode_text(std::string text, std::vector<TextSpan> learnt) const;
  Row encode_chat(const RowContent& content) const;

  const Tokenizer& tokenizer_;
  ChatFormat format_;
  ChatEncoder encoder_;
};

}  // namespace llm
