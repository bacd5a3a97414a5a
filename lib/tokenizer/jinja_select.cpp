#include "tokenizer/jinja_select.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"

namespace llm::jinja {

Value attribute_path(Heap& heap, const Value& value, const Value& path, const Value* absent) {
  if (path.is(Kind::integer)) return item(heap, value, path);
  if (!path.is(Kind::text)) problem("an attribute must be named by a string");
  Value result = value;
  for (const std::string_view name : split(path.str(), ".", -1)) {
    heap.step();
    int64_t index = 0;
    const auto number = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool whole = number.ec == std::errc() && number.ptr == name.data() + name.size();
    result = whole ? item(heap, result, Value::of(index)) : attribute(heap, result, name);
    if (absent && result.is(Kind::undefined)) result = *absent;
  }
  return result;
}

Value attribute_paths(Heap& heap, const Value& value, const Value& paths) {
  if (!paths.is(Kind::text) || paths.str().find(',') == std::string::npos) {
    return attribute_path(heap, value, paths);
  }
  std::vector<Value> values;
  for (const std::string_view path : split(paths.str(), ",", -1)) {
    values.push_back(attribute_path(heap, value, Value::constant(std::string(path))));
  }
  return heap.tuple(std::move(values));
}

namespace {

/// Arguments behind the first `count`.
Arguments rest_of(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  const auto end =
      rest.positional.begin() + static_cast<ptrdiff_t>(std::min(count, rest.positional.size()));
  rest.positional.erase(rest.positional.begin(), end);
  return rest;
}

/// select, reject, selectattr, rejectattr.
template <bool by_attribute, bool wanted>
Value select(Interpreter& in, const Value& input, const Arguments& arguments) {
  const size_t names = by_attribute ? 1 : 0;
  if (arguments.positional.size() < names) problem("the filter needs the name of an attribute");
  Test test = nullptr;
  if (arguments.positional.size() > names) {
    const Value& name = arguments.positional[names];
    test = name.is(Kind::text) ? find_test(name.str()) : nullptr;
    if (!test)
      problem(
          fmt::format("no test named '{}'", name.is(Kind::text) ? name.str() : type_name(name)));
  }
  const Arguments rest = rest_of(arguments, names + 1);
  std::vector<Value> chosen;
  for (const Value& item : elements(in.heap(), input)) {
    in.heap().step();
    const Value looked_at =
        by_attribute ? attribute_path(in.heap(), item, arguments.positional[0]) : item;
    if ((test ? test(in, looked_at, rest) : is_true(looked_at)) == wanted) chosen.push_back(item);
  }
  return in.heap().list(std::move(chosen), ListForm::generator);
}

/// map('filter', ...) and map(attribute='x', default=y).
Value map(Interpreter& in, const Value& input, const Arguments& arguments) {
  std::vector<Value> result;
  if (arguments.positional.empty()) {
    const auto given = arguments.bind("map", {"attribute", "default"});
    if (!given[0]) problem("map needs a filter or an attribute");
    for (const Value& item : elements(in.heap(), input)) {
      in.heap().step();
      result.push_back(attribute_path(in.heap(), item, *given[0], given[1]));
    }
    return in.heap().list(std::move(result), ListForm::generator);
  }
  const Value& name = arguments.positional[0];
  const Filter filter = name.is(Kind::text) ? find_filter(name.str()) : nullptr;
  if (!filter)
    problem(
        fmt::format("no filter named '{}'", name.is(Kind::text) ? name.str() : type_name(name)));
  const Arguments rest = rest_of(arguments, 1);
  for (const Value& item : elements(in.heap(), input)) {
    in.heap().step();
    result.push_back(filter(in, item, rest));
  }
  return in.heap().list(std::move(result), ListForm::generator);
}

Value attr(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Value* name = arguments.bind("attr", {"name"})[0];
  if (!name || !name->is(Kind::text)) problem("attr needs a name");
  if (input.is(Kind::dict))
    return Value::undefined(fmt::format("dict has no attribute '{}'", name->str()));
  return attribute(in.heap(), input, name->str());
}

}  // namespace

Filter find_select_filter(std::string_view name) {
  if (name == "map") return map;
  if (name == "select") return select<false, true>;
  if (name == "reject") return select<false, false>;
  if (name == "selectattr") return select<true, true>;
  if (name == "rejectattr") return select<true, false>;
  if (name == "attr") return attr;
  return nullptr;
}

}  // namespace llm::jinja
