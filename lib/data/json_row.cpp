#include "data/json_row.h"

#include <array>
#include <cstdlib>

#include "base/error.h"

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
      keys += keys.empty() ? "" : ", ";
      keys += keys.size() > 200 ? "..." : name + (value.kind == Kind::null ? " = null" : "");
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

/// Whether a message is for learning, as OpenAI's "weight" and axolotl's "train" say it.
bool to_learn(const JsonValue& message) {
  const JsonValue* weight = message.find("weight");
  const JsonValue* train = message.find("train");
  const bool weightless = weight != nullptr && weight->kind == Kind::number &&
                          std::strtod(weight->text.c_str(), nullptr) == 0;
  return !weightless && (train == nullptr || train->text != "false");
}

void add_messages(const Row& row, std::string_view list_name, const ChatShape& shape,
                  std::vector<RowMessage>& messages) {
  const JsonValue& list = row.required(list_name);
  if (list.kind != Kind::array) {
    row.reject("\"{}\" must be a list of messages, it is {}", list_name, list.kind_name());
  }
  for (const JsonValue& message : list.elements) {
    const JsonValue* speaker = message.find(shape.speaker);
    if (speaker == nullptr || speaker->kind != Kind::string) {
      row.reject("message {} needs \"{}\" and \"{}\"", messages.size(), shape.speaker,
                 shape.content);
    }
    messages.push_back({canonical_role(speaker->text),
                        message_text(row, message.find(shape.content), messages.size()),
                        to_learn(message), &message});
  }
}

/// A field of its own for what stands before the first message.
void add_system(const Row& row, RowContent& content) {
  if (row.has("system") && !row.string_field("system").empty()) {
    content.messages.push_back({"system", row.string_field("system")});
  }
}

void read_chat(const Row& row, const ChatShape& shape, RowContent& content) {
  add_system(row, content);
  add_messages(row, shape.list, shape, content.messages);
  bool assistant = false;
  for (const RowMessage& message : content.messages) {
    assistant = assistant || message.role == "assistant";
  }
  if (!assistant) {
    row.reject("no assistant message to learn from");
  }
  content.tools = row.json.find("tools");
}

void read_alpaca(const Row& row, RowContent& content) {
  std::string question = row.string_field("instruction");
  if (row.has("input") && !row.string_field("input").empty()) {
    question += "\n" + row.string_field("input");
  }
  add_system(row, content);
  content.messages.push_back({"user", std::move(question)});
  content.messages.push_back({"assistant", row.string_field("output")});
  content.pair = content.messages.size() == 2;
}

/// Prompt and answer, each a text or a list of messages.
void read_prompt(const Row& row, RowContent& content) {
  const char* answer = row.has("completion") ? "completion" : "response";
  if (row.required("prompt").kind != Kind::array) {
    add_system(row, content);
    content.messages.push_back({"user", row.string_field("prompt")});
    content.messages.push_back({"assistant", row.string_field(answer)});
    content.pair = content.messages.size() == 2;
    return;
  }
  add_messages(row, "prompt", kMessages, content.messages);
  for (RowMessage& message : content.messages) {
    message.learn = false;
  }
  add_messages(row, answer, kMessages, content.messages);
  if (content.messages.empty() || content.messages.back().role != "assistant") {
    row.reject("no assistant message to learn from");
  }
  content.tools = row.json.find("tools");
}

void read_by_keys(const Row& row, RowContent& content) {
  for (const char* key : {"text", "content"}) {
    if (row.has(key)) {
      content.text = row.string_field(key);
      return;
    }
  }
  const bool answered = row.has("response") || row.has("completion");
  if (row.has("prompt") && (answered || !row.has("messages"))) {
    return read_prompt(row, content);
  }
  if (row.has("instruction")) {
    return read_alpaca(row, content);
  }
  for (const ChatShape& shape : {kShareGpt, kMessages, kLmsys}) {
    if (row.has(shape.list)) {
      return read_chat(row, shape, content);
    }
  }
  row.reject_missing("text");
}

}  // namespace

RowContent parse_json_row(std::string_view text, std::string_view place,
                          const TextReaderOptions& options) {
  RowContent content;
  content.row = scan_json(text, place);
  const Row row{content.row, place};
  if (content.row.kind != Kind::object) {
    row.reject("a row must be a JSON object, this is {}", content.row.kind_name());
  }
  if (!options.field.empty()) {
    content.text = row.string_field(options.field);
    return content;
  }
  switch (options.format) {
    case TextFormat::alpaca:
      read_alpaca(row, content);
      break;
    case TextFormat::sharegpt:
      read_chat(row, kShareGpt, content);
      break;
    case TextFormat::messages:
      read_chat(row, kMessages, content);
      break;
    case TextFormat::lmsys:
      read_chat(row, kLmsys, content);
      break;
    default:
      read_by_keys(row, content);
  }
  return content;
}

std::string plain_text(const RowContent& content, std::vector<ByteSpan>* replies) {
  std::string text = content.text;
  for (const RowMessage& message : content.messages) {
    text += &message == content.messages.data() ? "" : "\n";
    if (!content.pair) {
      text += message.role + ": ";
    }
    const size_t begin = text.size();
    text += message.content;
    if (replies != nullptr && message.role == "assistant" && message.learn) {
      replies->push_back({begin, text.size()});
    }
  }
  return text;
}

}  // namespace llm
