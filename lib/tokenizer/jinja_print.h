// Values as text: str(), repr(), json.dumps() and the % operator of strings.
//
// Byte for byte what Python prints: True, None, 1.0, 1e-05, 'it''s' with Python's choice of quotes,
// and JSON with ", " and ": " and unescaped non-ASCII letters, as transformers' tojson writes it.
// Brackets and quotes around what a user gave count as the user's. Throws Problem.
#pragma once

#include <optional>
#include <string>

#include "tokenizer/jinja_value.h"

namespace llm::jinja {

/// str(value); nothing for undefined.
Text text_of(Heap& heap, const Value& value);
/// The same as a value: a string stays the string it is.
Value text_value(Heap& heap, const Value& value);
Text repr(Heap& heap, const Value& value);

struct JsonStyle {
  std::optional<Text> indent = {};
  bool ascii = false;
  bool sorted = false;
  std::string item_separator = ", ", key_separator = ": ";
};
Text json_text(Heap& heap, const Value& value, const JsonStyle& style);

/// repr(float): the shortest text that reads back as the same number.
std::string real_text(double value);

}  // namespace llm::jinja
