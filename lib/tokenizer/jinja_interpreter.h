// Runs a parsed template.
//
// One Interpreter is one rendering. Names are looked up from the inside out: the loop pass, macro
// or block, the template's own variables, what the caller gave, then the built-in functions (range,
// dict, namespace, raise_exception, strftime_now). As in Jinja, `set` inside a loop does not reach
// outside it. Throws Problem; line() is where it happened.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja_syntax.h"
#include "tokenizer/jinja_value.h"

namespace llm::jinja {

/// A byte range of the result.
struct Span {
  size_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

struct Scope {
  std::shared_ptr<Scope> outer;
  std::vector<std::pair<std::string, Value>> names;
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  /// `now` is what strftime_now tells, in local time.
  Interpreter(Heap& heap, std::time_t now);

  void define(const std::string& name, Value value) { set(*globals_, name, std::move(value)); }
  Text run(const Body& template_body);
  /// What {% generation %} blocks wrote, in the order of the text.
  const std::vector<Span>& generated() const { return generated_; }
  int line() const { return line_; }

  Heap& heap() { return heap_; }
  Value evaluate(const Expression& expression);
  Value call(const Value& function, const Arguments& arguments);

 private:
  enum class Flow { go_on, next_pass, leave_loop };
  class Level;

  void set(Scope& scope, const std::string& name, Value value);
  Value look_up(const std::string& name);
  void define_functions(std::time_t now);

  // statements: jinja_interpreter.cpp
  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow execute_if(const Statement& statement);
  Flow execute_for(const Statement& statement);
  Flow one_pass(const Statement& statement, const Value& item, Loop* loop, const ScopePtr& outside);
  void write(const Value& value);
  void append(const Text& text);
  Text captured(const Body& body);
  void assign(const Target& target, Value value);
  void execute_set_block(const Statement& statement);
  void execute_call_block(const Statement& statement);
  void execute_with(const Statement& statement);
  Value macro(const Statement& statement);
  Value call_macro(const Statement& statement, const ScopePtr& where, const Arguments& arguments);

  // expressions: jinja_expressions.cpp
  Value evaluate_parts(const Expression& expression);
  Value evaluate_comparison(const Expression& expression);
  Value evaluate_concat(const Expression& expression);
  Value evaluate_display(const Expression& expression);
  Value evaluate_slice(const Expression& expression);
  Value evaluate_call(const Expression& expression);
  Value filtered(const Expression& expression, const Value& input);
  Arguments arguments_of(const Expression& expression);

  Heap& heap_;
  ScopePtr globals_, scope_;
  Text* out_ = nullptr;
  size_t outer_bytes_ = 0;  // written so far around the block or macro that out_ belongs to
  Text result_;
  std::vector<Span> generated_;
  const Value* filter_input_ = nullptr;  // of a filter or set block
  int64_t loop_depth_ = 0;
  int level_ = 0;
  int line_ = 1;
};

}  // namespace llm::jinja
