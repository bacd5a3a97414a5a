// Attributes by path ("function.name", "0.id"), as map, selectattr, join and sort take them.
#pragma once

#include "tokenizer/jinja_value.h"

namespace llm::jinja {

/// `path` is a string with dots or a whole number. Where there is nothing: `absent`, else
/// undefined.
Value attribute_path(Heap& heap, const Value& value, const Value& path,
                     const Value* absent = nullptr);
/// The values at several paths with commas between them, as a tuple; of one path its value.
Value attribute_paths(Heap& heap, const Value& value, const Value& paths);

}  // namespace llm::jinja
