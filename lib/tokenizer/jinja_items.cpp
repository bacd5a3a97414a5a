// Indexing, slicing and walking through values: the second half of jinja_operators.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/jinja_operators.h"

namespace llm::jinja {
namespace {

Value missing(const Value& value, std::string_view what) {
  return Value::undefined(fmt::format("{} has no element {}", type_name(value), what));
}

/// An index from the end made one from the start; out of range stays out of range.
int64_t from_start(int64_t index, int64_t size) { return index < 0 ? index + size : index; }

struct Range {
  int64_t begin = 0, step = 1, count = 0;
};

/// slice.indices() of Python.
Range slice_range(int64_t size, const Value* begin, const Value* end, const Value* step) {
  const auto whole = [](const Value* value, int64_t absent) {
    if (!value || value->is(Kind::none)) return absent;
    defined(*value);
    if (!value->is_number() || value->is(Kind::real)) {
      problem(fmt::format("a slice needs whole numbers, not {}", type_name(*value)));
    }
    return value->whole();
  };
  Range range;
  range.step = whole(step, 1);
  if (range.step == 0) problem("a slice cannot have the step 0");
  const bool down = range.step < 0;
  const int64_t low = down ? -1 : 0, high = down ? size - 1 : size;
  const auto clamped = [&](const Value* value, int64_t absent) {
    if (!value || value->is(Kind::none)) return absent;
    const int64_t index = std::clamp<int64_t>(whole(value, 0), -size - 1, size + 1);
    return std::clamp(index < 0 ? index + size : index, low, high);
  };
  range.begin = clamped(begin, down ? high : low);
  const int64_t last = clamped(end, down ? low : high);
  const int64_t span = down ? range.begin - last : last - range.begin;
  const int64_t stride = range.step == INT64_MIN ? INT64_MAX : std::abs(range.step);
  range.count = span > 0 ? (span - 1) / stride + 1 : 0;
  return range;
}

/// Characters of a text at a distance from each other, forwards or backwards.
Text every_nth(const Text& text, const Range& range) {
  const std::string_view bytes = text.bytes;
  const auto starts = [&](size_t at) {
    return (static_cast<unsigned char>(bytes[at]) & 0xC0) != 0x80;
  };
  Text part;
  size_t at = byte_offset(bytes, static_cast<size_t>(range.begin));
  for (int64_t i = 0; i < range.count; ++i) {
    size_t end = at + 1;
    while (end < bytes.size() && !starts(end)) ++end;
    part.append(text, at, end);
    if (i + 1 == range.count) break;
    for (int64_t moved = 0; moved < std::abs(range.step); ++moved) {
      if (range.step > 0) {
        while (++at < bytes.size() && !starts(at)) {
        }
      } else {
        while (--at > 0 && !starts(at)) {
        }
      }
    }
  }
  return part;
}

Value loop_attribute(Heap& heap, const Loop& loop, std::string_view name) {
  const auto size = static_cast<int64_t>(loop.items->size());
  const auto at = static_cast<int64_t>(loop.index0);
  if (name == "index") return Value::of(at + 1);
  if (name == "index0") return Value::of(at);
  if (name == "revindex") return Value::of(size - at);
  if (name == "revindex0") return Value::of(size - at - 1);
  if (name == "first") return Value::of(at == 0);
  if (name == "last") return Value::of(at + 1 == size);
  if (name == "length") return Value::of(size);
  if (name == "depth") return Value::of(loop.depth0 + 1);
  if (name == "depth0") return Value::of(loop.depth0);
  if (name == "previtem") {
    return at > 0 ? (*loop.items)[loop.index0 - 1] : Value::undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return at + 1 < size ? (*loop.items)[loop.index0 + 1]
                         : Value::undefined("there is no next item");
  }
  heap.step();
  return Value::undefined(fmt::format("'loop' has no attribute '{}'", name));
}

}  // namespace

Value item(Heap& heap, const Value& value, const Value& key) {
  defined(value);
  if (value.is(Kind::dict)) {
    if (!key.is(Kind::text)) heap.step(value.dict().entries.size() / 8);
    if (const Value* found = value.dict().find(key)) return *found;
    return Value::undefined(fmt::format("the dictionary has no key {}", key.is(Kind::text)
                                                                            ? "'" + key.str() + "'"
                                                                            : type_name(key)));
  }
  const bool whole = key.is(Kind::integer) || key.is(Kind::boolean);
  if (value.is(Kind::list) && whole && value.list().form != ListForm::generator) {
    const std::vector<Value>& items = value.list().items;
    const int64_t index = from_start(key.whole(), static_cast<int64_t>(items.size()));
    if (index < 0 || index >= static_cast<int64_t>(items.size())) {
      return missing(value, std::to_string(key.whole()));
    }
    return items[static_cast<size_t>(index)];
  }
  if (value.is(Kind::text) && whole) {
    const Value range_end = Value::of(key.whole() + (key.whole() == -1 ? 0 : 1));
    const Value found = slice(heap, value, &key, key.whole() == -1 ? nullptr : &range_end, nullptr);
    return found.str().empty() ? missing(value, std::to_string(key.whole())) : found;
  }
  if (key.is(Kind::text)) return attribute(heap, value, key.str());
  return missing(value, type_name(key));
}

Value attribute(Heap& heap, const Value& value, std::string_view name) {
  defined(value);
  if (value.is(Kind::dict) || value.is(Kind::name_space)) {
    if (const Value* found = value.dict().find(name)) return *found;
    return Value::undefined(fmt::format("'{}' is undefined: the {} has no such key", name,
                                        value.is(Kind::dict) ? "dictionary" : "namespace"));
  }
  if (name.starts_with("__")) {
    problem(fmt::format("the attribute '{}' of {} is out of reach", name.substr(0, 60),
                        type_name(value)));
  }
  if (value.is(Kind::loop)) return loop_attribute(heap, value.loop(), name);
  if (value.is(Kind::function) && name == "name") {
    return Value::constant(value.function().name);
  }
  return Value::undefined(fmt::format("{} has no attribute '{}'", type_name(value), name));
}

Value slice(Heap& heap, const Value& value, const Value* begin, const Value* end,
            const Value* step) {
  defined(value);
  if (value.is(Kind::list) && value.list().form != ListForm::generator) {
    const std::vector<Value>& items = value.list().items;
    const Range range = slice_range(static_cast<int64_t>(items.size()), begin, end, step);
    std::vector<Value> part;
    part.reserve(static_cast<size_t>(range.count));
    for (int64_t i = 0; i < range.count; ++i) {
      part.push_back(items[static_cast<size_t>(range.begin + i * range.step)]);
    }
    return heap.list(std::move(part), value.list().form);
  }
  if (!value.is(Kind::text)) return missing(value, "by slice");
  const Text& text = *value.text;
  heap.work(4 * text.size());
  const Range range =
      slice_range(static_cast<int64_t>(character_count(text.bytes)), begin, end, step);
  if (range.count == 0) return heap.text(std::string());
  if (range.step == 1) {
    const size_t first = byte_offset(text.bytes, static_cast<size_t>(range.begin));
    const size_t size =
        byte_offset(std::string_view(text.bytes).substr(first), static_cast<size_t>(range.count));
    return heap.text(text.part(first, first + size));
  }
  heap.careful_work(text.size());
  return heap.text(every_nth(text, range));
}

std::vector<Value> elements(Heap& heap, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return {};
    case Kind::list:
      heap.step(value.list().items.size() / 16);
      return value.list().items;
    case Kind::dict: {
      std::vector<Value> keys;
      heap.step(value.dict().entries.size() / 16);
      for (const auto& [key, unused] : value.dict().entries) keys.push_back(key);
      return keys;
    }
    case Kind::text: {
      heap.take_cells(character_count(value.str()) * 2);
      std::vector<Value> characters;
      for (size_t at = 0; at < value.str().size();) {
        const size_t size = utf8::first_character(std::string_view(value.str()).substr(at)).length;
        characters.push_back(heap.text(value.text->part(at, at + size)));
        at += size;
      }
      return characters;
    }
    default:
      problem(fmt::format("{} cannot be looped over", type_name(value)));
  }
}

int64_t length(Heap& heap, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return 0;
    case Kind::text:
      heap.work(value.str().size());
      return static_cast<int64_t>(character_count(value.str()));
    case Kind::list:
      if (value.list().form == ListForm::generator) {
        problem("a generator has no length; put |list before it");
      }
      return static_cast<int64_t>(value.list().items.size());
    case Kind::dict:
      return static_cast<int64_t>(value.dict().entries.size());
    default:
      problem(fmt::format("{} has no length", type_name(value)));
  }
}

}  // namespace llm::jinja
