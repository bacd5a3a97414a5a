// The filters, tests and methods that templates may use, by name.
//
// A name that is not here is refused when the template is parsed. All throw Problem.
#pragma once

#include <optional>
#include <string_view>

#include "tokenizer/jinja_value.h"

namespace llm::jinja {

class Interpreter;

using Filter = Value (*)(Interpreter&, const Value& input, const Arguments&);
using Test = bool (*)(Interpreter&, const Value& input, const Arguments&);

/// Null if there is none of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

/// input.name(arguments), where `input` is a string, list or dictionary. Throws for a method that
/// does not exist or would change the value.
Value call_method(Interpreter& interpreter, const Value& input, std::string_view name,
                  const Arguments& arguments);
/// True where Python has a method of that name, so that value.name is not looked up as a key.
bool has_method(const Value& input, std::string_view name);

// Parts of the table, by theme.
Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);
Filter find_select_filter(std::string_view name);
Value call_text_method(Interpreter& interpreter, const Value& input, std::string_view name,
                       const Arguments& arguments);

/// Python's conversions of an optional argument, or what stands in for it.
int64_t whole_argument(const Value* argument, int64_t fallback, std::string_view what);
bool true_argument(const Value* argument, bool fallback);

}  // namespace llm::jinja
