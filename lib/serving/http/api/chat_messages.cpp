#include "serving/http/api/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "serving/http/http_error.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using OrderedJson = nlohmann::ordered_json;

constexpr std::array kRoles = {"system", "developer", "user", "assistant", "tool", "function"};
constexpr size_t kMostMessages = 2048;

[[noreturn]] void refuse_message(size_t index, const std::string& problem) {
  const std::string place = fmt::format("messages[{}]", index);
  throw HttpError(400, "invalid_value", place + problem, place);
}

/// Text, or parts of type text joined; what is no text has no meaning here.
OrderedJson read_content(const OrderedJson& content, size_t index) {
  if (content.is_string()) return content;
  if (!content.is_array()) refuse_message(index, ".content must be a text or a list of parts");
  std::string text;
  for (const OrderedJson& part : content) {
    const bool is_text = part.is_object() && part.value("type", OrderedJson()) == "text" &&
                         part.contains("text") && part["text"].is_string();
    if (!is_text) refuse_message(index, ".content: only parts of type text are supported");
    text += part["text"].get<std::string>();
  }
  return text;
}

/// What an assistant called before, in OpenAI's shape; arguments as the text that was answered, or
/// read already, as some clients keep them.
void check_calls(const OrderedJson& calls, size_t index) {
  if (calls.is_null()) return;
  if (!calls.is_array()) refuse_message(index, ".tool_calls must be a list");
  for (size_t i = 0; i < calls.size(); ++i) {
    const OrderedJson& call = calls[i];
    const bool named = call.is_object() && call.contains("function") &&
                       call["function"].is_object() && call["function"].contains("name") &&
                       call["function"]["name"].is_string();
    if (!named) refuse_message(index, fmt::format(".tool_calls[{}].function.name must be text", i));
    const OrderedJson& function = call["function"];
    const bool readable = !function.contains("arguments") || function["arguments"].is_string() ||
                          function["arguments"].is_object();
    if (!readable)
      refuse_message(index, fmt::format(".tool_calls[{}].function.arguments must be text", i));
  }
}

}  // namespace

OrderedJson read_messages(const OrderedJson& given) {
  if (given.empty())
    throw HttpError(400, "invalid_value", "messages must hold at least one message", "messages");
  if (given.size() > kMostMessages)
    throw HttpError(400, "invalid_value", fmt::format("messages: at most {}", kMostMessages),
                    "messages");
  OrderedJson messages = OrderedJson::array();
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i].is_object()) refuse_message(i, " must be an object");
    OrderedJson message = given[i];
    const OrderedJson role = message.value("role", OrderedJson(nullptr));
    if (!role.is_string()) http::missing_field(fmt::format("messages[{}].role", i));
    const std::string name = role.get<std::string>();
    if (std::find(kRoles.begin(), kRoles.end(), name) == kRoles.end())
      refuse_message(i, fmt::format(".role '{}' is unknown", name));
    if (name == "developer") message["role"] = "system";
    const OrderedJson called = message.value("name", OrderedJson());
    if (!called.is_null() && !called.is_string()) refuse_message(i, ".name must be text");
    const OrderedJson calls =
        name == "assistant" ? message.value("tool_calls", OrderedJson()) : OrderedJson();
    check_calls(calls, i);
    if (!message.contains("content")) {
      if (calls.is_null()) http::missing_field(fmt::format("messages[{}].content", i));
    } else if (name != "assistant" || !message["content"].is_null()) {
      message["content"] = read_content(message["content"], i);
    } else if (calls.empty()) {
      message["content"] = "";  // it may have said nothing; beside calls templates expect null
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace llm::api
