// What Python's operators do: arithmetic, comparison, `in`, indexing and slicing.
//
// Results and refusals are Python's ('1' + 1 is an error, True == 1, -7 // 2 is -4); whole numbers
// are 64 bits wide and overflow is an error. Positions in strings count characters. All throw
// Problem.
#pragma once

#include "tokenizer/jinja_syntax.h"
#include "tokenizer/jinja_value.h"

namespace llm::jinja {

bool equal(Heap& heap, const Value& a, const Value& b);
/// The same for what can be a key: numbers, strings, None.
bool equal_scalars(const Value& a, const Value& b);
/// -1, 0 or 1; throws where Python cannot order the two.
int compare(Heap& heap, const Value& a, const Value& b);
bool contains(Heap& heap, const Value& container, const Value& item);

Value arithmetic(Heap& heap, Operator op, const Value& a, const Value& b);
Value negated(const Value& value, bool minus);

/// value[key]; undefined where there is none.
Value item(Heap& heap, const Value& value, const Value& key);
/// value.name without methods: a key of a dictionary, an attribute of a namespace or of `loop`.
Value attribute(Heap& heap, const Value& value, std::string_view name);
Value slice(Heap& heap, const Value& value, const Value* begin, const Value* end,
            const Value* step);

/// The elements of anything that can be looped over: lists, keys, characters; undefined has none.
std::vector<Value> elements(Heap& heap, const Value& value);
/// len(value).
int64_t length(Heap& heap, const Value& value);

/// '...' % value.
Value formatted(Heap& heap, const Value& format, const Value& values);

}  // namespace llm::jinja
