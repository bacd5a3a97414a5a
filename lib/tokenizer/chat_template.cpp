#include "tokenizer/chat_template.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/jinja_interpreter.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;

/// For one line of a message: what the template says may hold anything.
std::string one_line(std::string_view text) {
  constexpr size_t kLongest = 500;
  std::string result;
  for (const char c : text.substr(0, utf8::valid_prefix(text.substr(0, kLongest)))) {
    const bool plain = static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
    result += plain ? c : ' ';
  }
  return result + (text.size() > kLongest ? "..." : "");
}

[[noreturn]] void fail_at(int line, const jinja::Problem& problem) {
  const std::string message = one_line(problem.message);
  if (problem.by_template) {
    throw ChatRefusal(
        Exit::bad_input,
        fmt::format("chat_template line {}: the template refuses: {}", line, message));
  }
  fail(Exit::bad_input, fmt::format("chat_template line {}: {}", line, message));
}

/// JSON as values of a template, marked as the user's.
class Importer {
 public:
  explicit Importer(jinja::Heap& heap) : heap_(heap) {}

  jinja::Value value(const Json& json) {
    switch (json.type()) {
      case Json::value_t::null:
        return jinja::Value::none();
      case Json::value_t::boolean:
        return jinja::Value::of(json.get<bool>());
      case Json::value_t::number_integer:
        return jinja::Value::of(json.get<int64_t>());
      case Json::value_t::number_unsigned:
        if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
          jinja::problem("a whole number in the messages or tools does not fit 64 bits");
        }
        return jinja::Value::of(json.get<int64_t>());
      case Json::value_t::number_float:
        return jinja::Value::of(json.get<double>());
      case Json::value_t::string:
        return text(json.get_ref<const std::string&>());
      case Json::value_t::array:
        return list(json);
      case Json::value_t::object:
        return dict(json);
      default:
        jinja::problem("the messages hold something that is not JSON");
    }
  }

  jinja::Value messages(const Json& json) {
    if (!json.is_array()) return value(json);
    std::vector<jinja::Value> items;
    for (const Json& message : json)
      items.push_back(message.is_object() ? one_message(message) : value(message));
    return heap_.list(std::move(items));
  }

 private:
  jinja::Value text(const std::string& content) { return heap_.text(jinja::Text(content, true)); }

  jinja::Value list(const Json& json) {
    std::vector<jinja::Value> items;
    items.reserve(json.size());
    for (const Json& item : json) items.push_back(value(item));
    jinja::Value result = heap_.list(std::move(items));
    result.list().user = true;
    return result;
  }

  jinja::Value dict(const Json& json) {
    jinja::Value result = heap_.dict();
    result.dict().user = true;
    for (const auto& [key, member] : json.items())
      heap_.set(result.dict(), text(key), value(member));
    return result;
  }

  /// Its role is the template's own if it is one of those that chats have; and what a model thought
  /// goes by one name, as transformers does it.
  jinja::Value one_message(const Json& message) {
    static constexpr std::array<std::string_view, 10> kRoles = {
        "system",   "user",    "assistant", "tool",          "developer",
        "function", "ipython", "model",     "tool_response", "environment"};
    jinja::Value result = dict(message);
    const auto role = message.find("role");
    if (role != message.end() && role->is_string() &&
        std::find(kRoles.begin(), kRoles.end(), role->get_ref<const std::string&>()) !=
            kRoles.end()) {
      heap_.set(result.dict(), jinja::Value::constant("role"),
                jinja::Value::constant(role->get<std::string>()));
    }
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const auto thought = message.find(name);
      if (thought == message.end() || thought->is_null()) continue;
      for (const char* alias : {"thinking", "reasoning_content"}) {
        if (alias != std::string_view("thinking") || !message.contains("thinking")) {
          heap_.set(result.dict(), jinja::Value::constant(alias), value(*thought));
        }
      }
      break;
    }
    return result;
  }

  jinja::Heap& heap_;
};

RenderedChat finished(const jinja::Text& text, const std::vector<jinja::Span>& generated) {
  RenderedChat result;
  for (size_t at = 0; at < text.marks.size();) {
    const size_t begin = std::min(text.marks.find(jinja::kUserByte, at), text.marks.size());
    at = std::min(text.marks.find(jinja::kTemplateByte, begin), text.marks.size());
    if (begin < at) result.user.push_back({begin, at});
  }
  for (const jinja::Span& span : generated) result.generated.push_back({span.begin, span.end});
  result.text = text.bytes;
  return result;
}

}  // namespace

struct ChatTemplate::Program {
  std::string source;
  jinja::Body body;
};

ChatTemplate ChatTemplate::parse(std::string_view source, SpecialTokenTexts special_tokens) {
  ChatTemplate result;
  result.special_tokens_ = std::move(special_tokens);
  result.add("default", source);
  return result;
}

void ChatTemplate::add(std::string name, std::string_view source) {
  auto program = std::make_shared<Program>();
  if (const auto bad = utf8::first_invalid(source)) {
    fail(Exit::bad_input, fmt::format("chat_template: invalid UTF-8 at byte {}", *bad));
  }
  int line = 1;
  try {
    program->body = jinja::parse_template(source, line);
  } catch (const jinja::Problem& problem) {
    fail_at(line, problem);
  }
  program->source = source;
  programs_[std::move(name)] = std::move(program);
}

const std::string& ChatTemplate::source() const {
  const auto found = programs_.find("default");
  return (found == programs_.end() ? programs_.begin() : found)->second->source;
}

RenderedChat ChatTemplate::render(const ChatInputs& inputs) const {
  auto program = programs_.find(inputs.tools.is_null() ? "default" : "tool_use");
  if (program == programs_.end()) program = programs_.find("default");
  if (program == programs_.end()) {
    std::string names;
    for (const auto& [name, unused] : programs_) names += (names.empty() ? "" : ", ") + name;
    fail(Exit::bad_input,
         fmt::format("no chat template is called 'default' (there are: {})", names));
  }
  jinja::Heap heap{jinja::Limits{}};
  int line = 1;
  try {
    jinja::Interpreter interpreter(heap, inputs.now.value_or(std::time(nullptr)));
    Importer importer(heap);
    for (const auto& [name, text] : special_tokens_) {
      interpreter.define(name, jinja::Value::constant(text));
    }
    interpreter.define("messages", importer.messages(inputs.messages));
    interpreter.define("tools", importer.value(inputs.tools));
    interpreter.define("documents", importer.value(inputs.documents));
    interpreter.define("add_generation_prompt", jinja::Value::of(inputs.add_generation_prompt));
    for (const auto& [name, value] : inputs.variables.items()) {
      interpreter.define(name, importer.value(value));
    }
    try {
      const jinja::Text text = interpreter.run(program->second->body);
      return finished(text, interpreter.generated());
    } catch (const jinja::Problem&) {
      line = interpreter.line();
      throw;
    }
  } catch (const jinja::Problem& problem) {
    fail_at(line, problem);
  }
}

}  // namespace llm
