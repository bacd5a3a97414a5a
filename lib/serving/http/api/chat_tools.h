// The functions that a chat request offers, and the calls that its answers make of them.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/api/answer_json.h"
#include "serving/constraint/tool_call_parser.h"

namespace llm::api {

struct ChatTools {
  std::vector<ToolFunction> functions;
  ToolChoice choice;
  ToolCallShape shape = ToolCallShape::hermes;
  bool parallel = true;  // an answer may hold several calls

  /// Calls may come: the template shows the functions, answers are searched.
  bool offered() const { return choice.kind != ToolChoice::Kind::none; }
  /// Nothing but calls may come.
  bool demanded() const {
    return choice.kind == ToolChoice::Kind::required || choice.kind == ToolChoice::Kind::named;
  }
  std::unique_ptr<ToolCallParser> parser() const;
  /// Of one answer, told its text piece by piece: whether it holds all that may be in it, which is
  /// so after the first call where calls are not parallel. Empty: never before its end.
  std::function<bool(std::string_view piece)> completion() const;
  /// The grammar of required and named calls; null where the model is free.
  std::shared_ptr<const Grammar> grammar() const;
};

/// The `tools` of a body (null: none), or HttpError 400 where they have another form.
std::vector<ToolFunction> read_body_tools(const OrderedJson& given);

/// `tools`, `tool_choice` and `parallel_tool_calls` of a body; HttpError 400 for what is wrong or
/// cannot be kept, and where the model's template does not take tools.
ChatTools read_chat_tools(const OrderedJson& body, const ServedModel& model);

/// [{index, id, type, function: {name, arguments}}], numbered from `first` on.
OrderedJson tool_calls_json(const std::vector<ToolCall>& calls, const std::string& request_id,
                            size_t first, bool with_index);

}  // namespace llm::api
