// Chat templates: messages as the one text that a model was trained on.
//
// A template is a program from a stranger. It is run by a bounded interpreter of its own
// (jinja_*.h; docs/chat_templates.md lists what it knows), set up as transformers sets Jinja up, so
// the text is the same byte for byte; it reads nothing, changes nothing and ends in under a second.
//
// The result says which of its bytes the user gave. Only spellings of special tokens that the
// template wrote itself become special ids (chat_encoder.h): a message that contains "<|im_end|>"
// stays text. The names of the known roles count as the template's own, because templates build
// tokens of them ('<|' + role + '|>').
//
// Throws Error(Exit::bad_input) "chat_template line 3: unexpected 'endfor'"; ChatRefusal where the
// template itself refuses the messages (raise_exception). Const and thread-safe after loading.
#pragma once

#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace llm {

struct TextSpan {  // bytes [begin, end)
  size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

struct RenderedChat {
  std::string text;
  std::vector<TextSpan> user;       // what came from the messages and other inputs
  std::vector<TextSpan> generated;  // {% generation %} blocks: what the model is to learn
};

/// The template called raise_exception: the messages do not suit it.
class ChatRefusal : public Error {
 public:
  using Error::Error;
};

struct ChatInputs;

/// The tokens that templates may name: {"bos_token": "<s>", ...}.
using SpecialTokenTexts = std::map<std::string, std::string>;

class ChatTemplate {
 public:
  /// Of a model directory: chat_template.jinja (and additional_chat_templates/*.jinja), else
  /// chat_template.json, else chat_template in tokenizer_config.json, as text or as a list of
  /// {name, template}. Special tokens from tokenizer_config.json, else special_tokens_map.json,
  /// else `others`.
  static ChatTemplate load(const std::filesystem::path& model_directory,
                           const SpecialTokenTexts& others = {});
  /// The template in a file of its own, with the special tokens of the directory.
  static ChatTemplate load_file(const std::filesystem::path& file,
                                const std::filesystem::path& model_directory,
                                const SpecialTokenTexts& others = {});
  static bool exists(const std::filesystem::path& model_directory);
  static ChatTemplate parse(std::string_view source, SpecialTokenTexts special_tokens = {});

  RenderedChat render(const ChatInputs& inputs) const;

  /// The template called "default", for servers and for containers that store it.
  const std::string& source() const;
  const SpecialTokenTexts& special_tokens() const { return special_tokens_; }

 private:
  struct Program;
  ChatTemplate() = default;
  void add(std::string name, std::string_view source);

  std::map<std::string, std::shared_ptr<const Program>> programs_;  // by name
  SpecialTokenTexts special_tokens_;
};

/// Those of a model directory, and of `others` what it does not name.
SpecialTokenTexts special_token_texts(const std::filesystem::path& directory,
                                      const SpecialTokenTexts& others = {});

}  // namespace llm
