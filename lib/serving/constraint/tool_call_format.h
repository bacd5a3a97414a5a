// Calls of functions by a model: OpenAI's `tools` and `tool_choice`, and the grammars that make a
// model call one.
//
// Models write calls in the shape they were trained on; two are known:
//   hermes   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>, one or several (Hermes,
//            Qwen 2.5 and 3)
//   llama3   {"name": "f", "parameters": {...}} as the whole answer (Llama 3.1 and later)
// For tool_choice "auto" a model writes freely and tool_call_parser.h finds the calls; for
// "required" and a named function the grammar of this file allows nothing else than calls.
//
// Pure functions. Errors are Error(Exit::usage): "tools[0].function.name is missing"; what a
// grammar cannot keep is refused as in json_schema.h, "...
// (tools[0].function.parameters.properties.a)".
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/constraint/grammar.h"

namespace llm {

enum class ToolCallShape { hermes, llama3 };

/// The shape that a chat template speaks of; nothing where it mentions neither.
std::optional<ToolCallShape> tool_call_shape(std::string_view chat_template);

struct ToolFunction {
  std::string name;  // [a-zA-Z0-9_-], 1 to 64
  nlohmann::ordered_json
      parameters;  // a JSON schema; an object without members where none was given
};

/// The `tools` of a request, at most 128, names distinct.
std::vector<ToolFunction> read_tools(const nlohmann::ordered_json& tools);

struct ToolChoice {
  enum class Kind { none, automatic, required, named };
  Kind kind = Kind::none;
  std::string name;  // named
};

/// `tool_choice`: "none", "auto", "required" or {"type": "function", "function": {"name": ...}};
/// null: auto where there are tools.
ToolChoice read_tool_choice(const nlohmann::ordered_json& choice,
                            const std::vector<ToolFunction>& tools);

/// A text of one call, or where `parallel` (hermes) of up to 16; of the named function only, if one
/// is named. `choice` is required or named.
std::shared_ptr<const Grammar> tool_call_grammar(const std::vector<ToolFunction>& tools,
                                                 const ToolChoice& choice, ToolCallShape shape,
                                                 bool parallel = true,
                                                 const GrammarLimits& limits = {});

}  // namespace llm
