// Attributes by path ("function.name", "0.id"), as map, selectattr, join and sort take them.
#pragma once

#include "tokenizer/jinja_value.h"

namespace llm::jinja {

/// `path` is a string with dots or a whole number. Undefined where there is nothing.
Value attribute_path(Heap& heap, const Value& value, const Value& path);

}  // namespace llm::jinja
