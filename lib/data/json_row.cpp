#include "data/json_row.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

using Json = nlohmann::json;

/// One row and what to say about it.
struct Row {
  const Json& json;
  std::string_view place;

  template <typename... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) const {
    fail(Exit::bad_input, fmt::format("{}: {}", place, fmt::format(format, std::forward<Args>(args)...)));
  }

  bool has(const char* key) const { return json.contains(key) && !json[key].is_null(); }

  std::string string_field(const char* key) const {
    const Json& value = json.at(key);
    if (!value.is_string()) {
      reject("\"{}\" must be a string, it is {}", key, value.type_name());
    }
    return value.get<std::string>();
  }

  std::string keys() const {
    std::string list;
    for (const auto& [key, value] : json.items()) {
      list += (list.empty() ? "" : ", ") + key;
      if (list.size() > 200) {
        return list + ", ...";
      }
    }
    return list.empty() ? "nothing" : list;
  }

  [[noreturn]] void reject_missing(std::string_view key) const { reject("no \"{}\" field (has: {})", key, keys()); }
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
  static constexpr std::array<std::array<const char*, 2>, 6> kNames = {{
      {"human", "user"}, {"gpt", "assistant"}, {"chatgpt", "assistant"}, {"bot", "assistant"}, {"model", "assistant"}, {"bing", "assistant"}}};
  for (const auto& [name, canonical] : kNames) {
    if (role == name) {
      return canonical;
    }
  }
  return role;
}

/// A message's text: a string, null (a tool call without words), or a list of {type: text, text} parts.
std::string message_text(const Row& row, const Json& content, size_t index) {
  if (content.is_null()) {
    return {};
  }
  if (content.is_string()) {
    return content.get<std::string>();
  }
  std::string text;
  bool parts_of_text = content.is_array();
  for (const Json& part : parts_of_text ? content : Json::array()) {
    parts_of_text = parts_of_text && part.is_object() && part.contains("text") && part["text"].is_string();
    text += parts_of_text ? part["text"].get<std::string>() : std::string();
  }
  if (!parts_of_text) {
    row.reject("message {} has content that is not text", index);
  }
  return text;
}

std::string chat_text(const Row& row, const ChatShape& shape) {
  const Json& messages = row.json.at(shape.list);
  if (!messages.is_array()) {
    row.reject("\"{}\" must be a list of messages, it is {}", shape.list, messages.type_name());
  }
  std::string text;
  bool assistant = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    bool complete = message.is_object() && message.contains(shape.speaker) && message[shape.speaker].is_string() && message.contains(shape.content);
    if (!complete) {
      row.reject("message {} needs \"{}\" and \"{}\"", i, shape.speaker, shape.content);
    }
    std::string role = canonical_role(message[shape.speaker].get<std::string>());
    assistant = assistant || role == "assistant";
    text += (text.empty() ? "" : "\n") + role + ": " + message_text(row, message[shape.content], i);
  }
  if (!assistant) {
    row.reject("no assistant message to learn from");
  }
  return text;
}

std::string alpaca_text(const Row& row) {
  for (const char* key : {"instruction", "output"}) {
    if (!row.has(key)) {
      row.reject_missing(key);
    }
  }
  std::string text = row.string_field("instruction");
  if (row.has("input") && !row.string_field("input").empty()) {
    text += "\n" + row.string_field("input");
  }
  return text + "\n" + row.string_field("output");
}

std::string prompt_text(const Row& row) {
  for (const char* answer : {"response", "completion"}) {
    if (row.has(answer)) {
      return row.string_field("prompt") + "\n" + row.string_field(answer);
    }
  }
  row.reject_missing("response");
}

std::string required_chat(const Row& row, const ChatShape& shape) {
  if (!row.has(shape.list)) {
    row.reject_missing(shape.list);
  }
  return chat_text(row, shape);
}

std::string text_by_keys(const Row& row) {
  for (const char* key : {"text", "content"}) {
    if (row.has(key)) {
      return row.string_field(key);
    }
  }
  if (row.has("prompt")) {
    return prompt_text(row);
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

std::string text_of(const Row& row, const TextReaderOptions& options) {
  if (!options.field.empty()) {
    return row.has(options.field.c_str()) ? row.string_field(options.field.c_str()) : (row.reject_missing(options.field), std::string());
  }
  switch (options.format) {
    case TextFormat::alpaca: return alpaca_text(row);
    case TextFormat::sharegpt: return required_chat(row, kShareGpt);
    case TextFormat::messages: return required_chat(row, kMessages);
    case TextFormat::lmsys: return required_chat(row, kLmsys);
    default: return text_by_keys(row);
  }
}

Json parsed(std::string_view row, std::string_view place) {
  try {
    return parse_json(row, place, {.max_bytes = static_cast<uint64_t>(kMaxRowBytes)});
  } catch (const Error& error) {
    // The row is one line: its place in the file is known already, only the column is news.
    std::string message = error.message();
    if (size_t line = message.find(" line 1 column "); line != std::string::npos) {
      message.erase(line, 7);
    }
    throw Error(error.code(), message, error.hint());
  }
}

}  // namespace

std::string text_of_json_row(std::string_view row, std::string_view place, const TextReaderOptions& options) {
  Json json = parsed(row, place);
  Row view{json, place};
  if (!json.is_object()) {
    view.reject("a row must be a JSON object, this is {}", json.type_name());
  }
  return text_of(view, options);
}

}  // namespace llm
