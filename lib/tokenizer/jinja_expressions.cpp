// Expressions of jinja_interpreter.h, and the functions that every template finds.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {

Value Interpreter::evaluate(const Expression& expression) {
  if (expression.kind == ExpressionKind::constant) return expression.value;
  struct Deeper {
    int& level;
    ~Deeper() { --level; }
  } deeper{level_};
  if (++level_ > heap_.limits().calls) problem("calls itself too often");
  heap_.step();
  line_ = expression.line;
  return evaluate_parts(expression);
}

Value Interpreter::evaluate_parts(const Expression& expression) {
  const auto part = [&](size_t i) { return evaluate(*expression.parts[i]); };
  switch (expression.kind) {
    case ExpressionKind::constant:
      return expression.value;
    case ExpressionKind::name:
      return look_up(expression.name);
    case ExpressionKind::attribute: {
      const Value base = part(0);
      if (!has_method(base, expression.name)) return attribute(heap_, base, expression.name);
      return heap_.function(expression.name,
                            [base, &expression](Interpreter& in, const Arguments& arguments) {
                              return call_method(in, base, expression.name, arguments);
                            });
    }
    case ExpressionKind::item: {
      const Value base = part(0);
      return item(heap_, base, part(1));
    }
    case ExpressionKind::slice:
      return evaluate_slice(expression);
    case ExpressionKind::call:
      return evaluate_call(expression);
    case ExpressionKind::filter:
      return filtered(expression, expression.parts[0] ? part(0) : *filter_input_);
    case ExpressionKind::test: {
      const Value input = part(0);
      return Value::of(find_test(expression.name)(*this, input, arguments_of(expression)));
    }
    case ExpressionKind::negate:
    case ExpressionKind::plus:
      return negated(part(0), expression.kind == ExpressionKind::negate);
    case ExpressionKind::binary: {
      const Value left = part(0);
      return arithmetic(heap_, expression.op, left, part(1));
    }
    case ExpressionKind::compare:
      return evaluate_comparison(expression);
    case ExpressionKind::logical_and: {
      Value left = part(0);
      return is_true(left) ? part(1) : left;
    }
    case ExpressionKind::logical_or: {
      Value left = part(0);
      return is_true(left) ? left : part(1);
    }
    case ExpressionKind::logical_not:
      return Value::of(!is_true(part(0)));
    case ExpressionKind::choice:
      if (is_true(part(1))) return part(0);
      return expression.parts[2] ? part(2)
                                 : Value::undefined("an 'if' without 'else' had nothing to give");
    case ExpressionKind::concat:
      return evaluate_concat(expression);
    default:
      return evaluate_display(expression);
  }
}

Value Interpreter::evaluate_comparison(const Expression& expression) {
  Value left = evaluate(*expression.parts[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.parts[i + 1]);
    bool holds = false;
    switch (expression.operators[i]) {
      case Operator::equal:
        holds = equal(heap_, left, right);
        break;
      case Operator::not_equal:
        holds = !equal(heap_, left, right);
        break;
      case Operator::in:
        holds = contains(heap_, right, left);
        break;
      case Operator::not_in:
        holds = !contains(heap_, right, left);
        break;
      case Operator::less:
        holds = compare(heap_, left, right) < 0;
        break;
      case Operator::less_equal:
        holds = compare(heap_, left, right) <= 0;
        break;
      case Operator::greater:
        holds = compare(heap_, left, right) > 0;
        break;
      default:
        holds = compare(heap_, left, right) >= 0;
    }
    if (!holds) return Value::of(false);
    left = std::move(right);
  }
  return Value::of(true);
}

Value Interpreter::evaluate_concat(const Expression& expression) {
  std::vector<Value> values;  // all of them first: the heap counts what they hold
  for (const ExpressionPtr& part : expression.parts) values.push_back(evaluate(*part));
  Text text;
  for (const Value& value : values) {
    if (value.is(Kind::text)) {
      heap_.expect_size(text.size() + value.text->size());
      text.append(*value.text);
    } else {
      text.append(text_of(heap_, value));
    }
  }
  return heap_.text(std::move(text));
}

Value Interpreter::evaluate_display(const Expression& expression) {
  if (expression.kind == ExpressionKind::dict) {
    const Value dict = heap_.dict();
    for (size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
      const Value key = evaluate(*expression.parts[i]);
      heap_.set(dict.dict(), key, evaluate(*expression.parts[i + 1]));
    }
    return dict;
  }
  std::vector<Value> items;
  items.reserve(expression.parts.size());
  for (const ExpressionPtr& part : expression.parts) items.push_back(evaluate(*part));
  return heap_.list(std::move(items),
                    expression.kind == ExpressionKind::tuple ? ListForm::tuple : ListForm::list);
}

Value Interpreter::evaluate_slice(const Expression& expression) {
  const Value base = evaluate(*expression.parts[0]);
  Value bounds[3];
  const Value* given[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!expression.parts[i + 1]) continue;
    bounds[i] = evaluate(*expression.parts[i + 1]);
    given[i] = &bounds[i];
  }
  return slice(heap_, base, given[0], given[1], given[2]);
}

// ---- calls

Arguments Interpreter::arguments_of(const Expression& expression) {
  Arguments arguments;
  size_t count = expression.parts.size();
  const size_t dict_at = expression.spread_dict ? --count : 0;
  const size_t list_at = expression.spread_list ? --count : 0;
  for (size_t i = 1; i < count; ++i) {
    arguments.positional.push_back(evaluate(*expression.parts[i]));
  }
  for (const auto& [name, part] : expression.keywords) {
    arguments.named.emplace_back(name, evaluate(*part));
  }
  if (expression.spread_list) {
    const std::vector<Value> more = elements(heap_, evaluate(*expression.parts[list_at]));
    heap_.take_cells(more.size());
    arguments.positional.insert(arguments.positional.end(), more.begin(), more.end());
  }
  if (expression.spread_dict) {
    const Value more = evaluate(*expression.parts[dict_at]);
    if (!more.is(Kind::dict)) problem("'**' needs a dictionary");
    heap_.take_cells(more.dict().entries.size());
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is(Kind::text)) problem("'**' needs a dictionary with text keys");
      arguments.named.emplace_back(key.str(), value);
    }
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& expression) {
  const Expression& callee = *expression.parts[0];
  if (callee.kind == ExpressionKind::attribute) {
    const Value owner = evaluate(*callee.parts[0]);
    if (has_method(owner, callee.name)) {
      const Arguments arguments = arguments_of(expression);
      line_ = expression.line;
      return call_method(*this, owner, callee.name, arguments);
    }
    const Value function = attribute(heap_, owner, callee.name);
    if (!function.is(Kind::function)) {
      problem(fmt::format("{} has no method '{}'", type_name(owner), callee.name));
    }
    return call(function, arguments_of(expression));
  }
  const Value function = evaluate(callee);
  return call(function, arguments_of(expression));
}

Value Interpreter::call(const Value& function, const Arguments& arguments) {
  defined(function);
  if (!function.is(Kind::function)) {
    problem(fmt::format("{} cannot be called", type_name(function)));
  }
  return function.function().call(*this, arguments);
}

Value Interpreter::filtered(const Expression& expression, const Value& input) {
  const Arguments arguments = arguments_of(expression);
  line_ = expression.line;
  if (input.is(Kind::text)) heap_.careful_work(input.str().size());
  return find_filter(expression.name)(*this, input, arguments);
}

// ---- functions that every template finds

namespace {

Value range(Interpreter& in, const Arguments& arguments) {
  if (!arguments.named.empty() || arguments.positional.empty() || arguments.positional.size() > 3) {
    problem("range takes one to three whole numbers");
  }
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bounds[i] = whole_argument(&arguments.positional[i], 0, "range");
  }
  if (arguments.positional.size() == 1) std::swap(bounds[0], bounds[1]);
  const auto [begin, end, step] = std::tuple(bounds[0], bounds[1], bounds[2]);
  if (step == 0) problem("range cannot have the step 0");
  const __int128 span =
      step > 0 ? static_cast<__int128>(end) - begin : static_cast<__int128>(begin) - end;
  const __int128 stride = step > 0 ? step : -static_cast<__int128>(step);
  const __int128 count = span > 0 ? (span - 1) / stride + 1 : 0;
  constexpr int64_t kLongest = 100'000;
  if (count > kLongest) problem(fmt::format("range is longer than {}", kLongest));
  std::vector<Value> items;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    items.push_back(Value::of(begin + i * step));
  return in.heap().list(std::move(items), ListForm::range);
}

/// dict(mapping or pairs, key=value ...); the same for namespace.
Value dictionary(Interpreter& in, const Arguments& arguments) {
  Heap& heap = in.heap();
  const Value dict = heap.dict();
  if (arguments.positional.size() > 1) problem("dict takes one mapping and names");
  for (const Value& source : arguments.positional) {
    if (source.is(Kind::dict)) {
      for (const auto& [key, value] : source.dict().entries) heap.set(dict.dict(), key, value);
      continue;
    }
    for (const Value& entry : elements(heap, source)) {
      const std::vector<Value> pair = elements(heap, entry);
      if (pair.size() != 2) problem("dict needs pairs of key and value");
      heap.set(dict.dict(), pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    heap.set(dict.dict(), Value::constant(name), value);
  }
  return dict;
}

Value name_space(Interpreter& in, const Arguments& arguments) {
  Value result = dictionary(in, arguments);
  for (const auto& [key, value] : result.dict().entries) {
    if (key.is(Kind::text) && key.str().starts_with("_")) {
      problem(fmt::format("'{}' cannot be a name in a namespace", key.str()));
    }
  }
  result.kind = Kind::name_space;
  return result;
}

Value raise_exception(Interpreter& in, const Arguments& arguments) {
  const Value* message = arguments.bind("raise_exception", {"message"})[0];
  const std::string text = message ? text_of(in.heap(), *message).bytes : std::string();
  throw Problem{text.substr(0, 500), true};
}

Value strftime_now(Interpreter& in, const Arguments& arguments, std::time_t now) {
  const Value* format = arguments.bind("strftime_now", {"format"})[0];
  if (!format || !format->is(Kind::text) || format->str().size() > 200) {
    problem("strftime_now needs a short format text");
  }
  std::tm local{};
  ::localtime_r(&now, &local);
  char buffer[1024];
  const std::string text = format->str() + " ";  // so that an empty result is not a failure
  const size_t size = std::strftime(buffer, sizeof buffer, text.c_str(), &local);
  if (size == 0) problem("strftime_now cannot write this format");
  return in.heap().text(std::string(buffer, size - 1));
}

}  // namespace

void Interpreter::define_functions(std::time_t now) {
  const auto add = [&](const char* name, auto function) {
    define(name, heap_.function(name, function));
  };
  add("range", range);
  add("dict", dictionary);
  add("namespace", name_space);
  add("raise_exception", raise_exception);
  add("strftime_now", [now](Interpreter& in, const Arguments& arguments) {
    return strftime_now(in, arguments, now);
  });
}

}  // namespace llm::jinja
