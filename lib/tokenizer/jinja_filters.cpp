#include "tokenizer/jinja_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"

namespace llm::jinja {

int64_t whole_argument(const Value* argument, int64_t fallback, std::string_view what) {
  if (!argument) return fallback;
  defined(*argument);
  if (!argument->is(Kind::integer) && !argument->is(Kind::boolean)) {
    problem(fmt::format("{} needs a whole number, not {}", what, type_name(*argument)));
  }
  return argument->whole();
}

bool true_argument(const Value* argument, bool fallback) {
  return argument ? is_true(*argument) : fallback;
}

Filter find_filter(std::string_view name) {
  if (const Filter filter = find_text_filter(name)) return filter;
  if (const Filter filter = find_list_filter(name)) return filter;
  return find_select_filter(name);
}

// ---- methods of lists and dictionaries

namespace {

constexpr std::string_view kDictMethods[] = {"get", "items", "keys", "values", "copy"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListMethods[] = {"count", "index", "copy"};
constexpr std::string_view kListChanges[] = {"append", "extend",  "insert", "pop",
                                             "remove", "reverse", "sort",   "clear"};
constexpr std::string_view kTextMethods[] = {
    "capitalize", "count",        "endswith",     "find",      "format",     "index",
    "isalnum",    "isalpha",      "isdigit",      "isdecimal", "islower",    "isnumeric",
    "isspace",    "isupper",      "join",         "ljust",     "lower",      "lstrip",
    "partition",  "removeprefix", "removesuffix", "replace",   "rfind",      "rjust",
    "rpartition", "rsplit",       "rstrip",       "split",     "splitlines", "startswith",
    "strip",      "swapcase",     "title",        "upper",     "zfill"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void would_change(const Value& input, std::string_view name) {
  problem(fmt::format("{}.{}() would change a value, which a template may not", type_name(input),
                      name));
}

Value call_dict_method(Interpreter& in, const Value& input, std::string_view name,
                       const Arguments& arguments) {
  Heap& heap = in.heap();
  if (name == "get") {
    const auto given = arguments.bind("get", {"key", "default"});
    if (!given[0]) problem("get needs a key");
    const Value* found = input.dict().find(*given[0]);
    return found ? *found : given[1] ? *given[1] : Value::none();
  }
  arguments.bind(name, {});
  if (name == "copy") {
    const Value copy = heap.dict();
    for (const auto& [key, value] : input.dict().entries) heap.set(copy.dict(), key, value);
    return copy;
  }
  std::vector<Value> result;
  for (const auto& [key, value] : input.dict().entries) {
    result.push_back(name == "items" ? heap.tuple({key, value}) : name == "keys" ? key : value);
  }
  return heap.list(std::move(result));
}

Value call_list_method(Interpreter& in, const Value& input, std::string_view name,
                       const Arguments& arguments) {
  Heap& heap = in.heap();
  const std::vector<Value>& items = input.list().items;
  if (name == "copy") return heap.list(items);
  const Value* wanted = arguments.bind(name, {"value"})[0];
  if (!wanted) problem(fmt::format("{} needs a value", name));
  int64_t count = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equal(heap, items[i], *wanted)) continue;
    if (name == "index") return Value::of(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index") problem("index: the value is not in the list");
  return Value::of(count);
}

/// loop.cycle('odd', 'even') and loop.changed(value).
Value call_loop_method(Interpreter& in, const Value& input, std::string_view name,
                       const Arguments& arguments) {
  Loop& loop = input.loop();
  if (name == "cycle") {
    if (arguments.positional.empty()) problem("loop.cycle needs values");
    return arguments.positional[loop.index0 % arguments.positional.size()];
  }
  const Value now = in.heap().tuple(arguments.positional);
  const bool changed = !loop.has_changed_value || !equal(in.heap(), loop.changed_value, now);
  loop.has_changed_value = true;
  loop.changed_value = now;
  return Value::of(changed);
}

}  // namespace

bool has_method(const Value& input, std::string_view name) {
  switch (input.kind) {
    case Kind::text:
      return is_one_of(name, kTextMethods);
    case Kind::dict:
      return is_one_of(name, kDictMethods) || is_one_of(name, kDictChanges);
    case Kind::list:
      return is_one_of(name, kListMethods) || is_one_of(name, kListChanges);
    case Kind::loop:
      return name == "cycle" || name == "changed";
    default:
      return false;
  }
}

Value call_method(Interpreter& in, const Value& input, std::string_view name,
                  const Arguments& arguments) {
  switch (input.kind) {
    case Kind::text:
      return call_text_method(in, input, name, arguments);
    case Kind::dict:
      if (is_one_of(name, kDictChanges)) would_change(input, name);
      return call_dict_method(in, input, name, arguments);
    case Kind::list:
      if (is_one_of(name, kListChanges)) would_change(input, name);
      return call_list_method(in, input, name, arguments);
    default:
      return call_loop_method(in, input, name, arguments);
  }
}

}  // namespace llm::jinja
