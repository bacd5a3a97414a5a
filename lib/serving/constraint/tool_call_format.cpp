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
constexpr int kMaxReferences = 16;  // followed to learn what a schema describes

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

/// What "#/$defs/name" in the schema leads to, through others if need be; null where it is nothing.
const ordered_json* referenced(const ordered_json& root, const ordered_json* reference) {
  for (int followed = 0; reference != nullptr && followed < kMaxReferences; ++followed) {
    if (!reference->is_string() || !reference->get_ref<const std::string&>().starts_with("#/"))
      return nullptr;
    try {
      const ordered_json::json_pointer pointer(reference->get_ref<const std::string&>().substr(1));
      if (!root.contains(pointer)) return nullptr;
      const ordered_json& target = root.at(pointer);
      reference = target.is_object() ? member(target, "$ref") : nullptr;
      if (reference == nullptr) return &target;
    } catch (const ordered_json::exception&) {
      return nullptr;
    }
  }
  return nullptr;
}

/// The part of a schema that allows objects, which the arguments of a call always are: null and the
/// like beside them go, and {} is any object. Nothing where it allows none.
std::optional<ordered_json> object_part(const ordered_json& schema, const ordered_json& root) {
  if (schema.is_boolean()) {
    return schema.get<bool>() ? std::optional(ordered_json{{"type", "object"}}) : std::nullopt;
  }
  if (!schema.is_object()) return std::nullopt;
  ordered_json part = schema;
  if (const ordered_json* type = member(schema, "type")) {
    const bool among = type->is_array() &&
                       std::find(type->begin(), type->end(), ordered_json("object")) != type->end();
    if (*type != "object" && !among) return std::nullopt;
    part["type"] = "object";
    return part;
  }
  for (const char* several : {"anyOf", "oneOf"}) {
    const ordered_json* all = member(schema, several);
    if (all == nullptr || !all->is_array()) continue;
    part[several] = ordered_json::array();
    for (const ordered_json& one : *all) {
      if (auto object = object_part(one, root)) part[several].push_back(*object);
    }
    return part[several].empty() ? std::nullopt : std::optional(part);
  }
  if (const ordered_json* reference = member(schema, "$ref")) {
    const ordered_json* target = referenced(root, reference);
    if (target == nullptr) return part;  // what leads nowhere is told when it is compiled
    const ordered_json* type = target->is_object() ? member(*target, "type") : nullptr;
    return type != nullptr && *type == "object" ? std::optional(part) : std::nullopt;
  }
  if (member(schema, "allOf") == nullptr) part["type"] = "object";
  return part;
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
  if (parameters == nullptr || parameters->empty()) {
    result.parameters = {{"type", "object"}, {"properties", ordered_json::object()}};
    return result;
  }
  const auto object = object_part(*parameters, *parameters);
  check(object.has_value(), "{}.function.parameters must describe an object", place);
  result.parameters = *object;
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
