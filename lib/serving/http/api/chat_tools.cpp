#include "serving/http/api/chat_tools.h"

#include <fmt/format.h>

#include "base/error.h"
#include "serving/http/http_error.h"

namespace llm::api {

std::unique_ptr<ToolCallParser> ChatTools::parser() const {
  std::vector<std::string> names;
  for (const ToolFunction& function : functions) names.push_back(function.name);
  return std::make_unique<ToolCallParser>(shape, std::move(names), parallel);
}

std::function<bool(std::string_view piece)> ChatTools::completion() const {
  if (!offered() || parallel) return {};
  return [calls = std::shared_ptr(parser())](std::string_view piece) {
    return !calls->feed(piece).calls.empty();
  };
}

std::shared_ptr<const Grammar> ChatTools::grammar() const {
  if (!demanded()) return nullptr;
  try {
    return tool_call_grammar(functions, choice, shape, parallel);
  } catch (const Error& error) {
    throw http::HttpError(400, "unsupported_schema", error.message(), "tools");
  }
}

std::vector<ToolFunction> read_body_tools(const OrderedJson& given) {
  if (given.is_null()) return {};
  try {
    return read_tools(given);
  } catch (const Error& error) {
    throw http::HttpError(400, "invalid_value", error.message(), "tools");
  }
}

ChatTools read_chat_tools(const OrderedJson& body, const ServedModel& model) {
  ChatTools tools;
  tools.parallel = body.value("parallel_tool_calls", OrderedJson(nullptr)) != false;
  tools.functions = read_body_tools(body.value("tools", OrderedJson(nullptr)));
  try {
    tools.choice =
        read_tool_choice(body.value("tool_choice", OrderedJson(nullptr)), tools.functions);
  } catch (const Error& error) {
    throw http::HttpError(400, "invalid_value", error.message(), "tool_choice");
  }
  if (tools.functions.empty()) tools.choice.kind = ToolChoice::Kind::none;
  if (!tools.offered()) return tools;
  const ChatTemplate* chat = model.chat_template();
  const auto shape = chat == nullptr ? std::nullopt : tool_call_shape(chat->source());
  if (!shape)
    throw http::HttpError(400, "invalid_value",
                          "tools: this model's chat template does not take tools", "tools");
  tools.shape = *shape;
  return tools;
}

OrderedJson tool_calls_json(const std::vector<ToolCall>& calls, const std::string& request_id,
                            size_t first, bool with_index) {
  OrderedJson all = OrderedJson::array();
  for (const ToolCall& call : calls) {
    const size_t number = first + all.size();
    OrderedJson one = OrderedJson::object();
    if (with_index) one["index"] = number;
    one["id"] = fmt::format("call_{}_{}", request_id, number);
    one["type"] = "function";
    one["function"] = {{"name", call.name}, {"arguments", call.arguments}};
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace llm::api
