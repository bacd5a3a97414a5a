#include "tokenizer/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja_filters.h"

namespace llm::jinja {
namespace {

/// Counts how deep the parser stands in itself.
class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) {
    if (++depth_ > kMaxDepth) problem(fmt::format("nesting deeper than {}", kMaxDepth));
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

}  // namespace

// ---- tokens

Token Parser::next() {
  line_ = now().line;
  return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_];
}

bool Parser::skip_symbol(std::string_view sign) {
  const bool there = now().is_symbol(sign);
  if (there) next();
  return there;
}

bool Parser::skip_name(std::string_view word) {
  const bool there = now().is_name(word);
  if (there) next();
  return there;
}

void Parser::unexpected() const {
  line_ = now().line;
  problem(fmt::format("unexpected {}", describe(now())));
}

void Parser::expect_symbol(std::string_view sign) {
  if (!skip_symbol(sign)) {
    line_ = now().line;
    problem(fmt::format("unexpected {}, expected '{}'", describe(now()), sign));
  }
}

void Parser::expect_name(std::string_view word) {
  if (!skip_name(word)) {
    line_ = now().line;
    problem(fmt::format("unexpected {}, expected '{}'", describe(now()), word));
  }
}

void Parser::expect_kind(TokenKind kind) {
  if (now().kind != kind) unexpected();
  next();
}

std::string Parser::take_name() {
  if (now().kind != TokenKind::name) unexpected();
  return next().text;
}

// ---- nodes

std::unique_ptr<Expression> Parser::node(ExpressionKind kind) const {
  auto result = std::make_unique<Expression>();
  result->kind = kind;
  result->line = now().line;
  return result;
}

ExpressionPtr Parser::close(std::unique_ptr<Expression> node) const {
  for (const ExpressionPtr& part : node->parts) {
    if (part) node->depth = std::max(node->depth, part->depth + 1);
  }
  for (const auto& [name, part] : node->keywords)
    node->depth = std::max(node->depth, part->depth + 1);
  if (node->depth > kMaxDepth) problem(fmt::format("nesting deeper than {}", kMaxDepth));
  return node;
}

ExpressionPtr Parser::pair(ExpressionKind kind, ExpressionPtr left, ExpressionPtr right,
                           Operator op) const {
  auto result = node(kind);
  result->line = left->line;
  result->op = op;
  result->parts.push_back(std::move(left));
  if (right) result->parts.push_back(std::move(right));
  return close(std::move(result));
}

// ---- from the loosest to the closest operator

ExpressionPtr Parser::expression(bool with_choice) {
  const Depth depth(depth_);
  return with_choice ? choice() : logical_or();
}

ExpressionPtr Parser::choice() {
  ExpressionPtr value = logical_or();
  while (skip_name("if")) {
    auto result = node(ExpressionKind::choice);
    result->parts.push_back(std::move(value));
    result->parts.push_back(logical_or());
    result->parts.push_back(skip_name("else") ? expression() : nullptr);
    value = close(std::move(result));
  }
  return value;
}

ExpressionPtr Parser::logical_or() {
  ExpressionPtr left = logical_and();
  while (skip_name("or")) left = pair(ExpressionKind::logical_or, std::move(left), logical_and());
  return left;
}

ExpressionPtr Parser::logical_and() {
  ExpressionPtr left = logical_not();
  while (skip_name("and")) left = pair(ExpressionKind::logical_and, std::move(left), logical_not());
  return left;
}

ExpressionPtr Parser::logical_not() {
  if (!now().is_name("not")) return comparison();
  const Depth depth(depth_);
  next();
  return pair(ExpressionKind::logical_not, logical_not(), nullptr);
}

ExpressionPtr Parser::comparison() {
  static constexpr std::array<std::pair<std::string_view, Operator>, 6> kSigns = {{
      {"==", Operator::equal},
      {"!=", Operator::not_equal},
      {"<", Operator::less},
      {"<=", Operator::less_equal},
      {">", Operator::greater},
      {">=", Operator::greater_equal},
  }};
  auto result = node(ExpressionKind::compare);
  result->parts.push_back(sum());
  while (true) {
    const auto sign = std::find_if(kSigns.begin(), kSigns.end(),
                                   [&](const auto& known) { return now().is_symbol(known.first); });
    if (sign != kSigns.end()) {
      next();
      result->operators.push_back(sign->second);
    } else if (skip_name("in")) {
      result->operators.push_back(Operator::in);
    } else if (now().is_name("not") && ahead().is_name("in")) {
      next();
      next();
      result->operators.push_back(Operator::not_in);
    } else {
      break;
    }
    result->parts.push_back(sum());
  }
  if (result->operators.empty()) return std::move(result->parts.front());
  return close(std::move(result));
}

ExpressionPtr Parser::sum() {
  ExpressionPtr left = concatenation();
  while (now().is_symbol("+") || now().is_symbol("-")) {
    const Operator op = next().text == "+" ? Operator::add : Operator::subtract;
    left = pair(ExpressionKind::binary, std::move(left), concatenation(), op);
  }
  return left;
}

ExpressionPtr Parser::concatenation() {
  auto result = node(ExpressionKind::concat);
  result->parts.push_back(product());
  while (skip_symbol("~")) result->parts.push_back(product());
  if (result->parts.size() == 1) return std::move(result->parts.front());
  return close(std::move(result));
}

ExpressionPtr Parser::product() {
  static constexpr std::array<std::pair<std::string_view, Operator>, 4> kSigns = {{
      {"*", Operator::multiply},
      {"/", Operator::divide},
      {"//", Operator::floor_divide},
      {"%", Operator::modulo},
  }};
  ExpressionPtr left = power();
  while (true) {
    const auto sign = std::find_if(kSigns.begin(), kSigns.end(),
                                   [&](const auto& known) { return now().is_symbol(known.first); });
    if (sign == kSigns.end()) return left;
    next();
    left = pair(ExpressionKind::binary, std::move(left), power(), sign->second);
  }
}

ExpressionPtr Parser::power() {
  ExpressionPtr left = unary();
  while (skip_symbol("**")) {
    left = pair(ExpressionKind::binary, std::move(left), unary(), Operator::power);
  }
  return left;
}

ExpressionPtr Parser::unary(bool with_filter) {
  ExpressionPtr result;
  if (now().is_symbol("-") || now().is_symbol("+")) {
    const Depth depth(depth_);
    const auto kind = next().text == "-" ? ExpressionKind::negate : ExpressionKind::plus;
    result = pair(kind, unary(false), nullptr);
  } else {
    result = primary();
  }
  result = postfix(std::move(result));
  return with_filter ? filters_and_tests(std::move(result)) : std::move(result);
}

ExpressionPtr Parser::primary() {
  auto result = node(ExpressionKind::constant);
  const Token& token = now();
  if (token.kind == TokenKind::name) {
    const std::string name = next().text;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      result->value = Value::of(name == "true" || name == "True");
    } else if (name == "none" || name == "None") {
      result->value = Value::none();
    } else {
      result->kind = ExpressionKind::name;
      result->name = name;
    }
  } else if (token.kind == TokenKind::text) {
    std::string text = next().text;
    while (now().kind == TokenKind::text) text += next().text;
    result->value = Value::constant(std::move(text));
  } else if (token.kind == TokenKind::integer) {
    result->value = Value::of(next().integer);
  } else if (token.kind == TokenKind::real) {
    result->value = Value::of(next().real);
  } else if (skip_symbol("(")) {
    ExpressionPtr inner = tuple(true, true);
    expect_symbol(")");
    return inner;
  } else if (token.is_symbol("[")) {
    return list_display();
  } else if (token.is_symbol("{")) {
    return dict_display();
  } else {
    unexpected();
  }
  return close(std::move(result));
}

ExpressionPtr Parser::tuple(bool with_choice, bool parenthesised) {
  auto result = node(ExpressionKind::tuple);
  bool is_tuple = false;
  while (true) {
    const Token& token = now();
    if (token.kind == TokenKind::variable_end || token.kind == TokenKind::block_end ||
        token.is_symbol(")") || token.is_name("recursive")) {
      break;
    }
    result->parts.push_back(expression(with_choice));
    if (!skip_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!result->parts.empty()) return std::move(result->parts.front());
    if (!parenthesised) {
      line_ = now().line;
      problem(fmt::format("expected an expression before {}", describe(now())));
    }
  }
  return close(std::move(result));
}

ExpressionPtr Parser::list_display() {
  auto result = node(ExpressionKind::list);
  expect_symbol("[");
  while (!now().is_symbol("]")) {
    result->parts.push_back(expression());
    if (!skip_symbol(",")) break;
  }
  expect_symbol("]");
  return close(std::move(result));
}

ExpressionPtr Parser::dict_display() {
  auto result = node(ExpressionKind::dict);
  expect_symbol("{");
  while (!now().is_symbol("}")) {
    result->parts.push_back(expression());
    expect_symbol(":");
    result->parts.push_back(expression());
    if (!skip_symbol(",")) break;
  }
  expect_symbol("}");
  return close(std::move(result));
}

// ---- what follows an operand

ExpressionPtr Parser::postfix(ExpressionPtr base) {
  while (true) {
    if (now().is_symbol(".") || now().is_symbol("[")) {
      base = subscript(std::move(base));
    } else if (now().is_symbol("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

ExpressionPtr Parser::subscript(ExpressionPtr base) {
  auto result = node(ExpressionKind::item);
  result->parts.push_back(std::move(base));
  if (skip_symbol(".")) {
    if (now().kind == TokenKind::name) {
      result->kind = ExpressionKind::attribute;
      result->name = next().text;
    } else if (now().kind == TokenKind::integer) {
      auto index = node(ExpressionKind::constant);
      index->value = Value::of(next().integer);
      result->parts.push_back(close(std::move(index)));
    } else {
      unexpected();
    }
    return close(std::move(result));
  }
  expect_symbol("[");
  const auto bound = [&]() -> ExpressionPtr {
    return now().is_symbol(":") || now().is_symbol("]") ? nullptr : expression();
  };
  result->parts.push_back(bound());
  if (skip_symbol(":")) {
    result->kind = ExpressionKind::slice;
    result->parts.push_back(bound());
    result->parts.push_back(skip_symbol(":") ? bound() : nullptr);
  } else if (!result->parts.back()) {
    unexpected();
  }
  expect_symbol("]");
  return close(std::move(result));
}

ExpressionPtr Parser::filters_and_tests(ExpressionPtr base) {
  while (true) {
    if (now().is_symbol("|")) {
      base = filter(std::move(base));
    } else if (now().is_name("is")) {
      base = test(std::move(base));
    } else if (now().is_symbol("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

ExpressionPtr Parser::filter(ExpressionPtr base) {
  auto result = node(ExpressionKind::filter);
  expect_symbol("|");
  result->name = take_name();
  if (!find_filter(result->name)) problem(fmt::format("no filter named '{}'", result->name));
  result->parts.push_back(std::move(base));
  if (now().is_symbol("(")) call_arguments(*result);
  return close(std::move(result));
}

ExpressionPtr Parser::test(ExpressionPtr base) {
  auto result = node(ExpressionKind::test);
  expect_name("is");
  const bool negated = skip_name("not");
  result->name = take_name();
  if (!find_test(result->name)) problem(fmt::format("no test named '{}'", result->name));
  result->parts.push_back(std::move(base));
  const Token& token = now();
  const bool operand = token.kind == TokenKind::name || token.kind == TokenKind::text ||
                       token.kind == TokenKind::integer || token.kind == TokenKind::real ||
                       token.is_symbol("[") || token.is_symbol("{");
  if (token.is_symbol("(")) {
    call_arguments(*result);
  } else if (operand && !token.is_name("else") && !token.is_name("or") && !token.is_name("and")) {
    if (token.is_name("is")) problem("two tests with 'is' in a row");
    result->parts.push_back(postfix(primary()));
  }
  ExpressionPtr test = close(std::move(result));
  return negated ? pair(ExpressionKind::logical_not, std::move(test), nullptr) : std::move(test);
}

ExpressionPtr Parser::call(ExpressionPtr base) {
  auto result = node(ExpressionKind::call);
  result->parts.push_back(std::move(base));
  call_arguments(*result);
  return close(std::move(result));
}

void Parser::call_arguments(Expression& call) {
  expect_symbol("(");
  const auto ensure = [&](bool right) {
    if (!right) problem("arguments of a call stand in the wrong order");
  };
  while (!now().is_symbol(")")) {
    if (skip_symbol("*")) {
      ensure(!call.spread_list && !call.spread_dict);
      call.spread_list = true;
      call.parts.push_back(expression());
    } else if (skip_symbol("**")) {
      ensure(!call.spread_dict);
      call.spread_dict = true;
      call.parts.push_back(expression());
    } else if (now().kind == TokenKind::name && ahead().is_symbol("=")) {
      ensure(!call.spread_dict);
      std::string name = take_name();
      next();
      call.keywords.emplace_back(std::move(name), expression());
    } else {
      ensure(!call.spread_list && !call.spread_dict && call.keywords.empty());
      call.parts.push_back(expression());
    }
    if (!skip_symbol(",")) break;
  }
  expect_symbol(")");
}

}  // namespace llm::jinja
