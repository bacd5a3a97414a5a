#include "serving/constraint/tool_call_format.h"

#include <algorithm>

#include "base/error.h"
#include "serving/constraint/json_schema.h"

namespace llm {
namespace {

using constraint::Expr;
using constraint::GrammarBuilder;
using constraint::JsonParts;
using nlohmann::ordered_json;

constexpr size_t kMaxTools = 128;
constexpr size_t kMaxFunctionName = 64;
constexpr uint32_t kMaxParallelCalls = 16;

const ordered_json* member(const ordered_json& object, const char* name) {
  const auto place = object.find(name);
  return place == object.end() || place->is_null() ? nullptr : &*place;
}

bool is_function_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFunctionName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

ToolFunction read_tool(const ordered_json& tool, const std::string& place) {
  check(tool.is_object(), "{} must be an object", place);
  const ordered_json* type = member(tool, "type");
  check(type == nullptr || *type == "function", "{}.type must be \"function\"", place);
  const ordered_json* function = member(tool, "function");
  check(function != nullptr && function->is_object(), "{}.function is missing", place);
  const ordered_json* name = member(*function, "name");
  check(name != nullptr && name->is_string(), "{}.function.name is missing", place);
  ToolFunction result{name->get<std::string>(), {}};
  check(is_function_name(result.name),
        "{}.function.name must be 1 to 64 letters, digits, '_' or '-'", place);
  const ordered_json* parameters = member(*function, "parameters");
  check(parameters == nullptr || parameters->is_object(),
        "{}.function.parameters must be an object", place);
  result.parameters = parameters != nullptr ? *parameters
                                            : ordered_json{{"type", "object"},
                                                           {"properties", ordered_json::object()}};
  return result;
}

const ToolFunction* find_tool(const std::vector<ToolFunction>& tools, std::string_view name) {
  const auto place = std::find_if(tools.begin(), tools.end(),
                                  [&](const ToolFunction& tool) { return tool.name == name; });
  return place == tools.end() ? nullptr : &*place;
}

/// {"name": "f", "arguments": {...}}
Expr call_of(GrammarBuilder& builder, JsonParts& json, const ToolFunction& tool, size_t index,
             ToolCallShape shape) {
  const std::string place = fmt::format("tools[{}].function.parameters", index);
  const char* const key = shape == ToolCallShape::hermes ? "\"arguments\"" : "\"parameters\"";
  return builder.sequence(
      {builder.literal("{\"name\""), json.colon(), builder.literal("\"" + tool.name + "\""),
       json.comma(), builder.literal(key), json.colon(),
       constraint::schema_part(builder, json, tool.parameters, place), builder.literal("}")});
}

}  // namespace

std::optional<ToolCallShape> tool_call_shape(std::string_view chat_template) {
  const auto has = [&](std::string_view marker) {
    return chat_template.find(marker) != std::string_view::npos;
  };
  if (has("<tool_call>")) return ToolCallShape::hermes;
  if (has("\"parameters\": dictionary") || has("<|python_tag|>")) return ToolCallShape::llama3;
  return std::nullopt;
}

std::vector<ToolFunction> read_tools(const ordered_json& tools) {
  std::vector<ToolFunction> result;
  if (tools.is_null()) return result;
  check(tools.is_array(), "tools must be a list");
  check(tools.size() <= kMaxTools, "at most {} tools are allowed, got {}", kMaxTools, tools.size());
  for (size_t i = 0; i < tools.size(); ++i) {
    ToolFunction tool = read_tool(tools[i], fmt::format("tools[{}]", i));
    check(find_tool(result, tool.name) == nullptr, "tools[{}].function.name '{}' is used twice", i,
          tool.name);
    result.push_back(std::move(tool));
  }
  return result;
}

ToolChoice read_tool_choice(const ordered_json& choice, const std::vector<ToolFunction>& tools) {
  using Kind = ToolChoice::Kind;
  if (choice.is_null()) return {tools.empty() ? Kind::none : Kind::automatic, ""};
  if (choice == "none") return {Kind::none, ""};
  if (choice == "auto") return {tools.empty() ? Kind::none : Kind::automatic, ""};
  if (choice == "required") {
    check(!tools.empty(), "tool_choice 'required' needs tools");
    return {Kind::required, ""};
  }
  const ordered_json* function = choice.is_object() ? member(choice, "function") : nullptr;
  const ordered_json* name =
      function != nullptr && function->is_object() ? member(*function, "name") : nullptr;
  check(name != nullptr && name->is_string(),
        "tool_choice must be 'none', 'auto', 'required' or name a function");
  const auto text = name->get<std::string>();
  check(find_tool(tools, text) != nullptr, "tool_choice names '{}', which is not among the tools",
        text.substr(0, kMaxFunctionName));
  return {Kind::named, text};
}

std::shared_ptr<const Grammar> tool_call_grammar(const std::vector<ToolFunction>& tools,
                                                 const ToolChoice& choice, ToolCallShape shape,
                                                 bool parallel, const GrammarLimits& limits) {
  GrammarBuilder builder("tools", limits);
  JsonParts json(builder, JsonSpacing::either);
  std::vector<Expr> calls;
  for (size_t i = 0; i < tools.size(); ++i) {
    if (choice.kind == ToolChoice::Kind::named && tools[i].name != choice.name) continue;
    calls.push_back(call_of(builder, json, tools[i], i, shape));
  }
  check(!calls.empty(), "a call was asked for, and there is no tool to call");
  Expr call = builder.as_rule("call", builder.choice(std::move(calls)));
  const auto root = builder.declare("tool calls");
  if (shape == ToolCallShape::hermes) {
    call = builder.sequence(
        {builder.literal("<tool_call>\n"), call, builder.literal("\n</tool_call>")});
    const Expr more = builder.sequence({builder.literal("\n"), call});
    const bool several = parallel && choice.kind == ToolChoice::Kind::required;
    call = builder.sequence({call, builder.repeat(more, 0, several ? kMaxParallelCalls - 1 : 0)});
  }
  builder.define(root, call);
  return builder.build(root);
}

}  // namespace llm
