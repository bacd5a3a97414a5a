#include "tokenizer/jinja_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {
namespace {

bool equal_lists(Heap& heap, const List& a, const List& b) {
  const bool same_form = (a.form == ListForm::tuple) == (b.form == ListForm::tuple);
  return same_form && std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                                 [&](const Value& x, const Value& y) { return equal(heap, x, y); });
}

bool equal_dicts(Heap& heap, const Dict& a, const Dict& b) {
  return a.entries.size() == b.entries.size() &&
         std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
           const Value* other = b.find(entry.first);
           return other && equal(heap, entry.second, *other);
         });
}

[[noreturn]] void unsupported(std::string_view sign, const Value& a, const Value& b) {
  problem(fmt::format("'{}' does not work between {} and {}", sign, type_name(a), type_name(b)));
}

[[noreturn]] void too_large() { problem("a whole number does not fit 64 bits"); }

const char* sign_of(Operator op) {
  static constexpr const char* kSigns[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSigns[static_cast<size_t>(op)];
}

int64_t whole_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) too_large();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) too_large();
  }
  return result;
}

Value whole_arithmetic(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::floor_divide:
    case Operator::modulo: {
      if (b == 0) problem("division by zero");
      if (b == -1) {
        overflow = op == Operator::floor_divide && __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      const int64_t rest = a % b;
      const bool below = rest != 0 && (rest < 0) != (b < 0);
      result = op == Operator::modulo ? rest + (below ? b : 0) : a / b - below;
      break;
    }
    default:
      result = whole_power(a, b);
  }
  if (overflow) too_large();
  return Value::of(result);
}

Value real_arithmetic(Operator op, double a, double b) {
  if ((op == Operator::divide || op == Operator::floor_divide || op == Operator::modulo) && b == 0)
    problem("division by zero");
  switch (op) {
    case Operator::add:
      return Value::of(a + b);
    case Operator::subtract:
      return Value::of(a - b);
    case Operator::multiply:
      return Value::of(a * b);
    case Operator::divide:
      return Value::of(a / b);
    case Operator::floor_divide:
      return Value::of(std::floor(a / b));
    case Operator::modulo: {
      const double rest = std::fmod(a, b);
      return Value::of(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    default: {
      if (a == 0 && b < 0) problem("0 cannot be raised to a negative power");
      const double result = std::pow(a, b);
      if (!std::isfinite(result)) problem("the result of '**' is not a number");
      return Value::of(result);
    }
  }
}

Value repeated(Heap& heap, const Value& what, int64_t count) {
  count = std::max<int64_t>(count, 0);
  if (what.is(Kind::text)) {
    const uint64_t size = what.text->size();
    if (size > 0 && static_cast<uint64_t>(count) > heap.limits().text_bytes / size) {
      heap.expect_room(std::numeric_limits<uint64_t>::max() / 2);
    }
    heap.expect_room(size * static_cast<uint64_t>(count));
    heap.careful_work(static_cast<uint64_t>(count));
    Text result;
    for (int64_t i = 0; size > 0 && i < count; ++i) result.append(*what.text);
    return heap.text(std::move(result));
  }
  const std::vector<Value>& items = what.list().items;
  if (!items.empty() && static_cast<uint64_t>(count) > heap.limits().cells / items.size()) {
    heap.take_cells(heap.limits().cells + 1);
  }
  std::vector<Value> result;
  for (int64_t i = 0; !items.empty() && i < count; ++i)
    result.insert(result.end(), items.begin(), items.end());
  return heap.list(std::move(result), what.list().form);
}

Value joined(Heap& heap, const Value& a, const Value& b) {
  if (a.is(Kind::text)) {
    heap.expect_room(a.text->size() + b.text->size());
    Text result = *a.text;
    result.append(*b.text);
    return heap.text(std::move(result));
  }
  std::vector<Value> items = a.list().items;
  heap.take_cells(items.size());
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return heap.list(std::move(items), a.list().form);
}

bool is_sequence(const Value& value) {
  return value.is(Kind::text) || (value.is(Kind::list) && (value.list().form == ListForm::list ||
                                                           value.list().form == ListForm::tuple));
}

int order(const auto& a, const auto& b) { return a < b ? -1 : b < a ? 1 : 0; }

}  // namespace

bool equal_scalars(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return a.is(Kind::real) || b.is(Kind::real) ? a.number() == b.number() : a.whole() == b.whole();
  }
  if (a.kind != b.kind) return false;
  if (a.is(Kind::text)) return a.text == b.text || a.str() == b.str();
  return a.is(Kind::undefined) || a.is(Kind::none) || a.object == b.object;
}

bool equal(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  if (a.is(Kind::text) && b.is(Kind::text)) heap.work(std::min(a.str().size(), b.str().size()));
  if (a.kind == b.kind && a.is(Kind::list)) {
    return a.object == b.object || equal_lists(heap, a.list(), b.list());
  }
  if (a.kind == b.kind && a.is(Kind::dict)) {
    return a.object == b.object || equal_dicts(heap, a.dict(), b.dict());
  }
  return equal_scalars(a, b);
}

int compare(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  defined(a);
  defined(b);
  if (a.is_number() && b.is_number()) {
    return a.is(Kind::real) || b.is(Kind::real) ? order(a.number(), b.number())
                                                : order(a.whole(), b.whole());
  }
  if (a.is(Kind::text) && b.is(Kind::text)) {
    heap.work(std::min(a.str().size(), b.str().size()));
    return order(a.str(), b.str());
  }
  if (!a.is(Kind::list) || !b.is(Kind::list) || a.list().form != b.list().form) {
    unsupported("<", a, b);
  }
  const std::vector<Value>&x = a.list().items, &y = b.list().items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    heap.step();
    if (!equal(heap, x[i], y[i])) return compare(heap, x[i], y[i]);
  }
  return order(x.size(), y.size());
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  switch (container.kind) {
    case Kind::undefined:
      return false;
    case Kind::text:
      if (!item.is(Kind::text)) {
        defined(item);
        problem(fmt::format("'in' a string needs a string, not {}", type_name(item)));
      }
      heap.work(container.str().size());
      return find(container.str(), item.str()) != std::string_view::npos;
    case Kind::list:
      return std::any_of(container.list().items.begin(), container.list().items.end(),
                         [&](const Value& one) { return equal(heap, one, item); });
    case Kind::dict:
      if (item.is(Kind::list) || item.is(Kind::dict)) {
        problem(fmt::format("a {} cannot be a key", type_name(item)));
      }
      if (!item.is(Kind::text)) heap.step(container.dict().entries.size() / 8);
      return container.dict().find(item) != nullptr;
    default:
      problem(fmt::format("{} cannot be searched with 'in'", type_name(container)));
  }
}

Value arithmetic(Heap& heap, Operator op, const Value& a, const Value& b) {
  defined(a);
  defined(b);
  if (op == Operator::modulo && a.is(Kind::text)) return formatted(heap, a, b);
  if (a.is_number() && b.is_number()) {
    const bool fraction = a.is(Kind::real) || b.is(Kind::real) || op == Operator::divide ||
                          (op == Operator::power && b.whole() < 0);
    return fraction ? real_arithmetic(op, a.number(), b.number())
                    : whole_arithmetic(op, a.whole(), b.whole());
  }
  if (op == Operator::multiply) {
    if (is_sequence(a) && b.is_number() && !b.is(Kind::real)) return repeated(heap, a, b.whole());
    if (is_sequence(b) && a.is_number() && !a.is(Kind::real)) return repeated(heap, b, a.whole());
  }
  if (op == Operator::add && is_sequence(a) && a.kind == b.kind &&
      (a.is(Kind::text) || a.list().form == b.list().form)) {
    return joined(heap, a, b);
  }
  unsupported(sign_of(op), a, b);
}

Value negated(const Value& value, bool minus) {
  defined(value);
  if (value.is(Kind::real)) return Value::of(minus ? -value.real : value.real);
  if (!value.is_number()) {
    problem(fmt::format("a sign does not work before {}", type_name(value)));
  }
  return minus ? whole_arithmetic(Operator::subtract, 0, value.whole()) : Value::of(value.whole());
}

}  // namespace llm::jinja
