// Filters over lists and dictionaries, for jinja_filters.h.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_select.h"

namespace llm::jinja {
namespace {

Value join(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("join", {"d", "attribute"});
  const Text between = given[0] ? text_of(heap, *given[0]) : Text();
  Text result;
  bool first = true;
  for (const Value& item : elements(heap, input)) {
    heap.step();
    if (!std::exchange(first, false)) result.append(between);
    result.append(text_of(heap, given[1] ? attribute_path(heap, item, *given[1]) : item));
    if (result.size() > heap.limits().text_bytes) heap.expect_room(result.size());
  }
  return heap.text(std::move(result));
}

Value to_list(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("list", {});
  return in.heap().list(elements(in.heap(), input));
}

Value first(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("first", {});
  const std::vector<Value> items = elements(in.heap(), input);
  return items.empty() ? Value::undefined("'first' of nothing") : items.front();
}

Value last(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("last", {});
  const std::vector<Value> items = elements(in.heap(), input);
  return items.empty() ? Value::undefined("'last' of nothing") : items.back();
}

Value reverse(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("reverse", {});
  if (input.is(Kind::text)) {
    const Value step = Value::of(int64_t{-1});
    return slice(in.heap(), input, nullptr, nullptr, &step);
  }
  std::vector<Value> items = elements(in.heap(), input);
  std::reverse(items.begin(), items.end());
  return in.heap().list(std::move(items), ListForm::generator);
}

Value items(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("items", {});
  if (input.is(Kind::undefined)) return in.heap().list({}, ListForm::generator);
  if (!input.is(Kind::dict))
    problem(fmt::format("items needs a dictionary, not {}", type_name(input)));
  const Value pairs = call_method(in, input, "items", {});
  return in.heap().list(pairs.list().items, ListForm::generator);
}

// ---- order

/// What elements are compared by: an attribute of theirs, without regard to case.
struct Key {
  Heap& heap;
  const Value* attribute;
  bool case_matters;

  Value operator()(const Value& item) const {
    const Value value = attribute ? attribute_path(heap, item, *attribute) : item;
    if (!value.is(Kind::text) || case_matters) return value;
    heap.work(value.str().size());
    return heap.text(with_case(*value.text, LetterCase::lower));
  }
};

void sort_by(Heap& heap, std::vector<Value>& items, const std::function<Value(const Value&)>& key,
             bool down) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) keyed.emplace_back(key(item), std::move(item));
  // A comparison may throw, which leaves elements somewhere in between; nothing of them is used
  // then.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return down ? compare(heap, b.first, a.first) < 0 : compare(heap, a.first, b.first) < 0;
  });
  for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
}

Value sort(Interpreter& in, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("sort", {"reverse", "case_sensitive", "attribute"});
  std::vector<Value> items = elements(in.heap(), input);
  const bool several =
      given[2] && given[2]->is(Kind::text) && find(given[2]->str(), ",") != std::string::npos;
  const Key key{in.heap(), given[2], true_argument(given[1], false)};
  sort_by(
      in.heap(), items,
      [&](const Value& item) {
        return several ? attribute_paths(in.heap(), item, *given[2]) : key(item);
      },
      true_argument(given[0], false));
  return in.heap().list(std::move(items));
}

Value dictsort(Interpreter& in, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("dictsort", {"case_sensitive", "by", "reverse"});
  if (!defined(input).is(Kind::dict)) problem("dictsort needs a dictionary");
  const std::string by = given[1] && given[1]->is(Kind::text) ? given[1]->str() : "key";
  if (by != "key" && by != "value") problem("dictsort: by must be 'key' or 'value'");
  std::vector<Value> pairs = call_method(in, input, "items", {}).list().items;
  const Key key{in.heap(), nullptr, true_argument(given[0], false)};
  sort_by(
      in.heap(), pairs, [&](const Value& pair) { return key(pair.list().items[by == "value"]); },
      true_argument(given[2], false));
  return in.heap().list(std::move(pairs));
}

Value unique(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("unique", {"case_sensitive", "attribute"});
  const Key key{heap, given[1], true_argument(given[0], false)};
  const Value seen = heap.dict();
  std::vector<Value> result;
  for (const Value& item : elements(heap, input)) {
    const Value mark = key(item);
    if (!mark.is(Kind::text)) heap.step(seen.dict().entries.size() / 4);
    if (seen.dict().find(mark)) continue;
    heap.set(seen.dict(), mark, Value::none());
    result.push_back(item);
  }
  return heap.list(std::move(result), ListForm::generator);
}

template <int sign>
Value extreme(Interpreter& in, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind(sign < 0 ? "min" : "max", {"case_sensitive", "attribute"});
  const Key key{in.heap(), given[1], true_argument(given[0], false)};
  Value best = Value::undefined("'min' or 'max' of nothing");
  Value best_key;
  for (const Value& item : elements(in.heap(), input)) {
    Value item_key = key(item);
    if (best_key.is(Kind::undefined) || compare(in.heap(), item_key, best_key) * sign > 0) {
      best = item;
      best_key = std::move(item_key);
    }
  }
  return best;
}

Value sum(Interpreter& in, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("sum", {"attribute", "start"});
  Value total = given[1] ? *given[1] : Value::of(int64_t{0});
  for (const Value& item : elements(in.heap(), input)) {
    in.heap().step();
    const bool whole = !given[0] || given[0]->is(Kind::none);
    total = arithmetic(in.heap(), Operator::add, total,
                       whole ? item : attribute_path(in.heap(), item, *given[0]));
  }
  return total;
}

// ---- groups

Value batch(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("batch", {"linecount", "fill_with"});
  const int64_t size = whole_argument(given[0], 0, "batch");
  if (size < 1) problem("batch needs a size of at least 1");
  std::vector<Value> groups, group;
  for (const Value& item : elements(heap, input)) {
    group.push_back(item);
    if (static_cast<int64_t>(group.size()) == size)
      groups.push_back(heap.list(std::exchange(group, {})));
  }
  if (!group.empty()) {
    if (given[1] && !given[1]->is(Kind::none)) {
      heap.take_cells(static_cast<size_t>(size));
      group.resize(static_cast<size_t>(size), *given[1]);
    }
    groups.push_back(heap.list(std::move(group)));
  }
  return heap.list(std::move(groups), ListForm::generator);
}

Value groupby(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("groupby", {"attribute", "default", "case_sensitive"});
  if (!given[0]) problem("groupby needs an attribute");
  const Key key{heap, given[0], true_argument(given[2], false)};
  std::vector<Value> items = elements(heap, input);
  sort_by(heap, items, key, false);
  std::vector<Value> groups, group;
  const auto finish = [&] {
    if (group.empty()) return;
    const Value name = attribute_path(heap, group.front(), *given[0]);
    groups.push_back(heap.tuple({name, heap.list(std::exchange(group, {}))}));
  };
  for (const Value& item : items) {
    if (!group.empty() && !equal(heap, key(group.front()), key(item))) finish();
    group.push_back(item);
  }
  finish();
  return heap.list(std::move(groups));
}

struct ListFilter {
  std::string_view name;
  Filter filter;
};

constexpr ListFilter kListFilters[] = {
    {"join", join},       {"list", to_list},    {"first", first},    {"last", last},
    {"reverse", reverse}, {"items", items},     {"sort", sort},      {"dictsort", dictsort},
    {"unique", unique},   {"min", extreme<-1>}, {"max", extreme<1>}, {"sum", sum},
    {"batch", batch},     {"groupby", groupby},
};

}  // namespace

Filter find_list_filter(std::string_view name) {
  const auto* entry = std::find_if(std::begin(kListFilters), std::end(kListFilters),
                                   [&](const ListFilter& known) { return known.name == name; });
  return entry == std::end(kListFilters) ? nullptr : entry->filter;
}

}  // namespace llm::jinja
