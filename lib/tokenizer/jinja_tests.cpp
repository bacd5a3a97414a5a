// The tests that stand behind `is`, for jinja_filters.h.
#include <algorithm>
#include <array>
#include <cmath>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"

namespace llm::jinja {
namespace {

const Value& operand(const Arguments& arguments) {
  const Value* other = arguments.bind("the test", {"other"})[0];
  if (!other) problem("the test needs something to compare with");
  return *other;
}

template <Kind kind>
bool is_kind(Interpreter&, const Value& value, const Arguments&) {
  return value.is(kind);
}

template <bool wanted>
bool is_bool(Interpreter&, const Value& value, const Arguments&) {
  return value.is(Kind::boolean) && value.boolean == wanted;
}

template <Operator op>
bool holds(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Value& other = operand(arguments);
  switch (op) {
    case Operator::equal:
      return equal(in.heap(), value, other);
    case Operator::not_equal:
      return !equal(in.heap(), value, other);
    case Operator::less:
      return compare(in.heap(), value, other) < 0;
    case Operator::less_equal:
      return compare(in.heap(), value, other) <= 0;
    case Operator::greater:
      return compare(in.heap(), value, other) > 0;
    default:
      return compare(in.heap(), value, other) >= 0;
  }
}

bool is_divisible(Heap& heap, const Value& value, const Value& by) {
  return !is_true(arithmetic(heap, Operator::modulo, value, by));
}

bool is_same(const Value& value, const Value& other) {
  if (value.kind != other.kind) return false;
  switch (value.kind) {
    case Kind::list:
    case Kind::dict:
    case Kind::name_space:
    case Kind::loop:
    case Kind::function:
      return value.object == other.object;
    default:
      return equal_scalars(value, other);
  }
}

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr Test kIsEqual = holds<Operator::equal>, kIsNotEqual = holds<Operator::not_equal>,
               kIsLess = holds<Operator::less>, kIsLessEqual = holds<Operator::less_equal>,
               kIsGreater = holds<Operator::greater>,
               kIsGreaterEqual = holds<Operator::greater_equal>;

constexpr NamedTest kTests[] = {
    {"defined",
     [](Interpreter&, const Value& v, const Arguments&) { return !v.is(Kind::undefined); }},
    {"undefined", is_kind<Kind::undefined>},
    {"none", is_kind<Kind::none>},
    {"boolean", is_kind<Kind::boolean>},
    {"true", is_bool<true>},
    {"false", is_bool<false>},
    {"integer", is_kind<Kind::integer>},
    {"float", is_kind<Kind::real>},
    {"number", [](Interpreter&, const Value& v, const Arguments&) { return v.is_number(); }},
    {"string", is_kind<Kind::text>},
    {"mapping", is_kind<Kind::dict>},
    {"sequence",
     [](Interpreter&, const Value& v, const Arguments&) {
       return v.is(Kind::undefined) || v.is(Kind::text) || v.is(Kind::dict) ||
              (v.is(Kind::list) && v.list().form != ListForm::generator);
     }},
    {"iterable",
     [](Interpreter&, const Value& v, const Arguments&) {
       return v.is(Kind::undefined) || v.is(Kind::text) || v.is(Kind::dict) || v.is(Kind::list);
     }},
    {"callable", is_kind<Kind::function>},
    {"lower",
     [](Interpreter&, const Value& v, const Arguments&) {
       return v.is(Kind::text) && all_are(v.str(), CharacterClass::lower);
     }},
    {"upper",
     [](Interpreter&, const Value& v, const Arguments&) {
       return v.is(Kind::text) && all_are(v.str(), CharacterClass::upper);
     }},
    {"odd", [](Interpreter& in, const Value& v,
               const Arguments&) { return !is_divisible(in.heap(), v, Value::of(int64_t{2})); }},
    {"even", [](Interpreter& in, const Value& v,
                const Arguments&) { return is_divisible(in.heap(), v, Value::of(int64_t{2})); }},
    {"divisibleby",
     [](Interpreter& in, const Value& v, const Arguments& arguments) {
       return is_divisible(in.heap(), v, operand(arguments));
     }},
    {"in", [](Interpreter& in, const Value& v,
              const Arguments& arguments) { return contains(in.heap(), operand(arguments), v); }},
    {"sameas", [](Interpreter&, const Value& v,
                  const Arguments& arguments) { return is_same(v, operand(arguments)); }},
    {"filter",
     [](Interpreter&, const Value& v, const Arguments&) {
       return v.is(Kind::text) && find_filter(v.str()) != nullptr;
     }},
    {"test", [](Interpreter&, const Value& v,
                const Arguments&) { return v.is(Kind::text) && find_test(v.str()) != nullptr; }},
    {"equalto", kIsEqual},
    {"eq", kIsEqual},
    {"==", kIsEqual},
    {"ne", kIsNotEqual},
    {"!=", kIsNotEqual},
    {"lt", kIsLess},
    {"lessthan", kIsLess},
    {"<", kIsLess},
    {"le", kIsLessEqual},
    {"<=", kIsLessEqual},
    {"gt", kIsGreater},
    {"greaterthan", kIsGreater},
    {">", kIsGreater},
    {"ge", kIsGreaterEqual},
    {">=", kIsGreaterEqual},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto* entry = std::find_if(std::begin(kTests), std::end(kTests),
                                   [&](const NamedTest& known) { return known.name == name; });
  return entry == std::end(kTests) ? nullptr : entry->test;
}

}  // namespace llm::jinja
