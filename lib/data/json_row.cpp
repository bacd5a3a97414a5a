#include "data/json_row.h"

#include <array>

#include "base/error.h"
#include "data/json_scanner.h"

namespace llm {
namespace {

using Kind = JsonValue::Kind;

/// One row and what to say about it.
struct Row {
  const JsonValue& json;
  std::string_view place;

  template <typename... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) const {
    fail(Exit::bad_input,
         fmt::format("{}: {}", place, fmt::format(format, std::forward<Args>(args)...)));
  }

  bool has(std::string_view key) const { return json.find(key) != nullptr; }

  [[noreturn]] void reject_missing(std::string_view key) const {
    std::string keys;
    for (const auto& [name, value] : json.members) {
      keys += (keys.empty() ? "" : ", ") + (keys.size() > 200 ? std::string("...") : name);
      if (keys.size() > 203) {
        break;
      }
    }
    reject("no \"{}\" field (has: {})", key, keys.empty() ? "nothing" : keys);
  }

  const JsonValue& required(std::string_view key) const {
    const JsonValue* value = json.find(key);
    if (value == nullptr) {
      reject_missing(key);
    }
    return *value;
  }

  const std::string& string_field(std::string_view key) const {
    const JsonValue& value = required(key);
    if (value.kind != Kind::string) {
      reject("\"{}\" must be a string, it is {}", key, value.kind_name());
    }
    return value.text;
  }
};

struct ChatShape {
  const char* list;
  const char* speaker;
  const char* content;
};
constexpr ChatShape kShareGpt{"conversations", "from", "value"};
constexpr ChatShape kMessages{"messages", "role", "content"};
constexpr ChatShape kLmsys{"conversation", "role", "content"};

std::string canonical_role(const std::string& role) {
  static constexpr std::array<std::array<const char*, 2>, 6> kNames = {{{"human", "user"},
                                                                        {"gpt", "assistant"},
                                                                        {"chatgpt", "assistant"},
                                                                        {"bot", "assistant"},
                                                                        {"model", "assistant"},
                                                                        {"bing", "assistant"}}};
  for (const auto& [name, canonical] : kNames) {
    if (role == name) {
      return canonical;
    }
  }
  return role;
}

/// A message's text: a string, nothing (a tool call without words), or a list of {type: text, text}
/// parts.
std::string message_text(const Row& row, const JsonValue* content, size_t index) {
  if (content == nullptr || content->kind == Kind::string) {
    return content == nullptr ? std::string() : content->text;
  }
  std::string text;
  bool readable = content->kind == Kind::array;
  for (const JsonValue& part : content->elements) {
    const JsonValue* words = part.find("text");
    readable = readable && words != nullptr && words->kind == Kind::string;
    text += readable ? words->text : std::string();
  }
  if (!readable) {
    row.reject("message {} has content that is not text", index);
  }
  return text;
}

std::string chat_text(const Row& row, const ChatShape& shape) {
  const JsonValue& messages = row.required(shape.list);
  if (messages.kind != Kind::array) {
    row.reject("\"{}\" must be a list of messages, it is {}", shape.list, messages.kind_name());
  }
  std::string text;
  bool assistant = false;
  for (size_t i = 0; i < messages.elements.size(); ++i) {
    const JsonValue& message = messages.elements[i];
    const JsonValue* speaker = message.find(shape.speaker);
    if (speaker == nullptr || speaker->kind != Kind::string) {
      row.reject("message {} needs \"{}\" and \"{}\"", i, shape.speaker, shape.content);
    }
    std::string role = canonical_role(speaker->text);
    assistant = assistant || role == "assistant";
    text += (text.empty() ? "" : "\n") + role + ": " +
            message_text(row, message.find(shape.content), i);
  }
  if (!assistant) {
    row.reject("no assistant message to learn from");
  }
  return text;
}

std::string alpaca_text(const Row& row) {
  std::string text = row.string_field("instruction");
  if (row.has("input") && !row.string_field("input").empty()) {
    text += "\n" + row.string_field("input");
  }
  return text + "\n" + row.string_field("output");
}

std::string text_by_keys(const Row& row) {
  for (const char* key : {"text", "content"}) {
    if (row.has(key)) {
      return row.string_field(key);
    }
  }
  if (row.has("prompt")) {
    return row.string_field("prompt") + "\n" +
           row.string_field(row.has("completion") ? "completion" : "response");
  }
  if (row.has("instruction")) {
    return alpaca_text(row);
  }
  for (const ChatShape& shape : {kShareGpt, kMessages, kLmsys}) {
    if (row.has(shape.list)) {
      return chat_text(row, shape);
    }
  }
  row.reject_missing("text");
}

}  // namespace

std::string text_of_json_row(std::string_view text, std::string_view place,
                             const TextReaderOptions& options) {
  JsonValue json = scan_json(text, place);
  Row row{json, place};
  if (json.kind != Kind::object) {
    row.reject("a row must be a JSON object, this is {}", json.kind_name());
  }
  if (!options.field.empty()) {
    return row.string_field(options.field);
  }
  switch (options.format) {
    case TextFormat::alpaca:
      return alpaca_text(row);
    case TextFormat::sharegpt:
      return chat_text(row, kShareGpt);
    case TextFormat::messages:
      return chat_text(row, kMessages);
    case TextFormat::lmsys:
      return chat_text(row, kLmsys);
    default:
      return text_by_keys(row);
  }
}

}  // namespace llm
