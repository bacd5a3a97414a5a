#include "tokenizer/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {

/// Enters a scope for as long as it lives.
class Interpreter::Level {
 public:
  Level(Interpreter& in, ScopePtr outer) : in_(in), before_(in.scope_) {
    in_.scope_ = std::make_shared<Scope>();
    in_.scope_->outer = std::move(outer);
  }
  ~Level() { in_.scope_ = before_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Interpreter& in_;
  ScopePtr before_;
};

namespace {

/// Sets a variable back when it goes out of sight.
template <typename T>
class Restored {
 public:
  Restored(T& variable, T value) : variable_(variable), before_(std::exchange(variable, value)) {}
  ~Restored() { variable_ = before_; }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

 private:
  T& variable_;
  T before_;
};

}  // namespace

Interpreter::Interpreter(Heap& heap, std::time_t now)
    : heap_(heap), globals_(std::make_shared<Scope>()), scope_(std::make_shared<Scope>()) {
  scope_->outer = globals_;
  define_functions(now);
}

Text Interpreter::run(const Body& template_body) {
  out_ = &result_;
  execute(template_body);
  return std::move(result_);
}

void Interpreter::set(Scope& scope, const std::string& name, Value value) {
  heap_.step(1 + scope.names.size() / 16);
  for (auto& [known, old] : scope.names) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  scope.names.emplace_back(name, std::move(value));
}

Value Interpreter::look_up(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->outer.get()) {
    heap_.step(scope->names.size() / 16);
    for (const auto& [known, value] : scope->names) {
      if (known == name) return value;
    }
  }
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

// ---- statements

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& statement : body) {
    if (const Flow flow = execute(*statement); flow != Flow::go_on) return flow;
  }
  return Flow::go_on;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  const Restored<int> level(level_, level_ + 1);
  if (level_ > heap_.limits().calls) problem("calls itself too often");
  heap_.step();
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::data:
      write(statement.text);
      break;
    case StatementKind::output:
      write(evaluate(*statement.expressions[0]));
      break;
    case StatementKind::if_:
      return execute_if(statement);
    case StatementKind::for_:
      return execute_for(statement);
    case StatementKind::set:
      assign(statement.targets[0], evaluate(*statement.expressions[0]));
      break;
    case StatementKind::set_block:
    case StatementKind::filter:
      execute_set_block(statement);
      break;
    case StatementKind::macro:
      set(*scope_, statement.name, macro(statement));
      break;
    case StatementKind::call_block:
      execute_call_block(statement);
      break;
    case StatementKind::with:
      execute_with(statement);
      break;
    case StatementKind::generation: {
      const size_t begin = out_->size();
      const Level inner(*this, scope_);
      execute(statement.bodies[0]);
      if (out_ == &result_) generated_.push_back({begin, out_->size()});
      break;
    }
    case StatementKind::scope: {
      const Level inner(*this, scope_);
      return execute(statement.bodies[0]);
    }
    case StatementKind::break_:
      return Flow::leave_loop;
    case StatementKind::continue_:
      return Flow::next_pass;
  }
  return Flow::go_on;
}

void Interpreter::write(const Value& value) {
  if (value.is(Kind::text)) {
    append(*value.text);
  } else {
    append(text_of(heap_, value));
  }
}

void Interpreter::append(const Text& text) {
  heap_.work(text.size());
  heap_.expect_size(outer_bytes_ + out_->size() + text.size());
  out_->append(text);
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    if (is_true(evaluate(*statement.expressions[i]))) return execute(statement.bodies[i]);
  }
  return statement.bodies.size() > statement.expressions.size() ? execute(statement.bodies.back())
                                                                : Flow::go_on;
}

Interpreter::Flow Interpreter::execute_for(const Statement& statement) {
  std::vector<Value> items = elements(heap_, evaluate(*statement.expressions[0]));
  const ScopePtr outside = scope_;
  if (statement.expressions.size() > 1) {
    std::vector<Value> chosen;
    for (Value& item : items) {
      heap_.step();
      const Level inner(*this, outside);
      assign(statement.targets[0], item);
      if (is_true(evaluate(*statement.expressions[1]))) chosen.push_back(std::move(item));
    }
    items = std::move(chosen);
  }
  if (items.empty()) {
    if (statement.bodies.size() < 2) return Flow::go_on;
    const Level inner(*this, outside);
    return execute(statement.bodies[1]);
  }
  Loop* loop = heap_.loop();
  loop->items = &items;
  loop->depth0 = loop_depth_;
  const Restored<int64_t> depth(loop_depth_, loop_depth_ + 1);
  for (; loop->index0 < items.size(); ++loop->index0) {
    if (one_pass(statement, items[loop->index0], loop, outside) == Flow::leave_loop) break;
  }
  static const std::vector<Value> kNothing;
  loop->items = &kNothing;  // `loop` may have been kept in a namespace
  return Flow::go_on;
}

Interpreter::Flow Interpreter::one_pass(const Statement& statement, const Value& item, Loop* loop,
                                        const ScopePtr& outside) {
  heap_.step();
  const Level inner(*this, outside);
  scope_->names.emplace_back("loop", Value::of(Kind::loop, loop));
  assign(statement.targets[0], item);
  return execute(statement.bodies[0]);
}

void Interpreter::assign(const Target& target, Value value) {
  if (!target.several.empty()) {
    const std::vector<Value> parts = elements(heap_, defined(value));
    if (parts.size() != target.several.size()) {
      problem(fmt::format("{} names for {} values", target.several.size(), parts.size()));
    }
    for (size_t i = 0; i < parts.size(); ++i) assign(target.several[i], parts[i]);
    return;
  }
  if (target.attribute.empty()) return set(*scope_, target.name, std::move(value));
  const Value owner = look_up(target.name);
  if (!defined(owner).is(Kind::name_space)) {
    problem(fmt::format("'{}.{}' cannot be set: '{}' is no namespace", target.name,
                        target.attribute, target.name));
  }
  if (target.attribute.starts_with("_")) {
    problem(fmt::format("'{}' cannot be a name in a namespace", target.attribute));
  }
  heap_.set(owner.dict(), Value::constant(target.attribute), std::move(value));
}

Text Interpreter::captured(const Body& body) {
  Text text;
  const Restored<size_t> outer(outer_bytes_, outer_bytes_ + out_->size());
  const Restored<Text*> out(out_, &text);
  const Level inner(*this, scope_);
  execute(body);
  return text;
}

/// {% set x %} and {% filter %}: a body as a value, through filters.
void Interpreter::execute_set_block(const Statement& statement) {
  Value value = heap_.text(captured(statement.bodies[0]));
  if (!statement.expressions.empty()) {
    const Value input = value;
    const Restored<const Value*> given(filter_input_, &input);
    value = evaluate(*statement.expressions[0]);
  }
  if (statement.kind == StatementKind::filter) {
    write(value);
  } else {
    assign(statement.targets[0], std::move(value));
  }
}

void Interpreter::execute_with(const Statement& statement) {
  std::vector<Value> values;
  for (const ExpressionPtr& expression : statement.expressions)
    values.push_back(evaluate(*expression));
  const Level inner(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  execute(statement.bodies[0]);
}

// ---- macros

Value Interpreter::macro(const Statement& statement) {
  return heap_.function(statement.name,
                        [&statement, where = scope_](Interpreter& in, const Arguments& arguments) {
                          return in.call_macro(statement, where, arguments);
                        });
}

Value Interpreter::call_macro(const Statement& statement, const ScopePtr& where,
                              const Arguments& arguments) {
  const int line = line_;
  const std::string what = statement.name.empty() ? "caller" : statement.name;
  const Level inner(*this, where);
  std::vector<Value> rest;
  std::vector<bool> taken(arguments.named.size(), false);
  for (size_t i = 0; i < statement.parameters.size(); ++i) {
    const Parameter& parameter = statement.parameters[i];
    Value value = Value::undefined(
        fmt::format("the argument '{}' of '{}' was not given", parameter.name, what));
    bool given = i < arguments.positional.size();
    if (given) value = arguments.positional[i];
    for (size_t k = 0; k < arguments.named.size(); ++k) {
      if (arguments.named[k].first != parameter.name) continue;
      if (given) problem(fmt::format("'{}' got the argument '{}' twice", what, parameter.name));
      value = arguments.named[k].second;
      given = taken[k] = true;
    }
    if (!given && parameter.fallback) value = evaluate(*parameter.fallback);
    set(*scope_, parameter.name, std::move(value));
  }
  for (size_t i = statement.parameters.size(); i < arguments.positional.size(); ++i) {
    rest.push_back(arguments.positional[i]);
  }
  set(*scope_, "varargs", heap_.tuple(std::move(rest)));
  const Value named = heap_.dict();
  for (size_t k = 0; k < arguments.named.size(); ++k) {
    if (taken[k]) continue;
    if (arguments.named[k].first == "caller") {
      set(*scope_, "caller", arguments.named[k].second);
    } else {
      heap_.set(named.dict(), Value::constant(arguments.named[k].first), arguments.named[k].second);
    }
  }
  set(*scope_, "kwargs", named);
  Text text;
  const Restored<size_t> outer(outer_bytes_, outer_bytes_ + out_->size());
  const Restored<Text*> out(out_, &text);
  execute(statement.bodies[0]);
  line_ = line;
  return heap_.text(std::move(text));
}

void Interpreter::execute_call_block(const Statement& statement) {
  const Expression& expression = *statement.expressions[0];
  const Value function = evaluate(*expression.parts[0]);
  Arguments arguments = arguments_of(expression);
  arguments.named.emplace_back("caller", macro(statement));
  write(call(function, arguments));
}

}  // namespace llm::jinja
