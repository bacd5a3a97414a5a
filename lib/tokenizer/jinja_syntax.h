// The tree of a parsed template: expressions and statements, each with its line.
//
// Immutable after parsing and shared between renderings. No node lies deeper than kMaxDepth, so
// that walking and freeing a tree needs little stack.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja_value.h"

namespace llm::jinja {

inline constexpr int kMaxDepth = 100;
inline constexpr size_t kMaxSourceBytes = 512 * 1024;

enum class Operator : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

enum class ExpressionKind : uint8_t {
  constant,   // value
  name,       // name
  attribute,  // parts[0].name
  item,       // parts[0][parts[1]]
  slice,      // parts[0][parts[1]:parts[2]:parts[3]], each of the three may be null
  call,       // parts[0](parts[1..], keywords)
  filter,     // parts[0] | name(parts[1..], keywords); parts[0] is null inside a filter block
  test,       // parts[0] is name(parts[1..], keywords)
  negate,
  plus,
  binary,   // parts[0] op parts[1]
  compare,  // parts[0] operators[0] parts[1] operators[1] parts[2] ...
  logical_and,
  logical_or,
  logical_not,
  choice,  // parts[0] if parts[1] else parts[2]; the last may be null
  concat,  // ~
  list,
  tuple,
  dict,  // key, value, key, value ...
};

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 0;
  int depth = 1;
  Operator op = Operator::add;
  std::string name;
  Value value;
  std::vector<ExpressionPtr> parts;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  std::vector<Operator> operators;
  bool spread_list = false, spread_dict = false;  // of a call: the last part is *x, then **x
};

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

enum class StatementKind : uint8_t {
  data,        // text
  output,      // expressions[0]
  if_,         // expressions[i] decides for bodies[i]; one body more is the else
  for_,        // for target in expressions[0] [if expressions[1]]; bodies[0], bodies[1] = else
  set,         // target = expressions[0]
  set_block,   // target = bodies[0], through the filters expressions[0] if there are any
  macro,       // name, parameters, bodies[0]
  call_block,  // expressions[0] is the call; parameters, bodies[0]
  filter,      // expressions[0] applied to bodies[0]
  with,        // targets = expressions; bodies[0]
  generation,  // bodies[0]
  scope,       // bodies[0], as it stands
  break_,
  continue_
};

/// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> several;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;
};

struct Statement {
  StatementKind kind = StatementKind::data;
  int line = 0;
  int depth = 1;
  std::string name;
  Value text;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> expressions;
  std::vector<Body> bodies;
  std::vector<Parameter> parameters;
};

/// Throws Problem; `line` follows the parser, for messages.
Body parse_template(std::string_view source, int& line);

}  // namespace llm::jinja
