// Statements of jinja_parser.h: what stands between {% and %}.
#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_parser.h"

namespace llm::jinja {

Body parse_template(std::string_view source, int& line) {
  line = 1;
  if (source.size() > kMaxSourceBytes) {
    problem(fmt::format("the template is larger than {} bytes", kMaxSourceBytes));
  }
  std::vector<Token> tokens = tokenize_template(source, line);
  return Parser(std::move(tokens), line).parse();
}

Body Parser::parse() { return body({}); }

std::unique_ptr<Statement> Parser::statement_node(StatementKind kind) const {
  auto result = std::make_unique<Statement>();
  result->kind = kind;
  result->line = now().line;
  return result;
}

namespace {

std::string joined(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    text += fmt::format("{}'{}'", text.empty() ? "" : " or ", word);
  }
  return text;
}

}  // namespace

/// Statements up to one of `ends`, which becomes the current token.
Body Parser::body(std::initializer_list<std::string_view> ends) {
  struct Deeper {
    int& depth;
    ~Deeper() { --depth; }
  } deeper{depth_};
  if (++depth_ > kMaxDepth) problem(fmt::format("nesting deeper than {}", kMaxDepth));
  Body result;
  const int begin = now().line;
  while (now().kind != TokenKind::end) {
    std::unique_ptr<Statement> next_statement;
    if (now().kind == TokenKind::data) {
      next_statement = statement_node(StatementKind::data);
      next_statement->text = Value::constant(next().text);
    } else if (now().kind == TokenKind::variable_begin) {
      next_statement = statement_node(StatementKind::output);
      next();
      next_statement->expressions.push_back(tuple());
      expect_kind(TokenKind::variable_end);
    } else if (now().kind == TokenKind::block_begin) {
      next();
      const auto is_now = [&](std::string_view end) { return now().is_name(end); };
      if (std::any_of(ends.begin(), ends.end(), is_now)) return result;
      next_statement = statement();
      expect_kind(TokenKind::block_end);
    } else {
      unexpected();
    }
    result.push_back(std::move(next_statement));
  }
  if (ends.size() > 0) {
    line_ = begin;
    problem(fmt::format("the block that starts here does not end: {} is missing", joined(ends)));
  }
  return result;
}

/// The body of a tag whose head ends here.
Body Parser::block(std::initializer_list<std::string_view> ends) {
  skip_symbol(":");
  expect_kind(TokenKind::block_end);
  return body(ends);
}

void Parser::leave(std::string_view end) { expect_name(end); }

std::unique_ptr<Statement> Parser::statement() {
  if (now().kind != TokenKind::name) unexpected();
  const std::string& tag = now().text;
  if (tag == "if") return if_statement();
  if (tag == "for") return for_statement();
  if (tag == "set") return set_statement();
  if (tag == "macro") return macro_statement();
  if (tag == "call") return call_statement();
  if (tag == "filter") return filter_statement();
  if (tag == "with") return with_statement();
  if (tag == "generation") {
    auto result = statement_node(StatementKind::generation);
    next();
    result->bodies.push_back(block({"endgeneration"}));
    leave("endgeneration");
    return result;
  }
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) problem(fmt::format("'{}' outside a loop", tag));
    auto result = statement_node(tag == "break" ? StatementKind::break_ : StatementKind::continue_);
    next();
    return result;
  }
  line_ = now().line;
  for (const std::string_view known :
       {"block", "extends", "include", "import", "from", "autoescape", "do", "trans", "debug"}) {
    if (tag == known) problem(fmt::format("the tag '{}' is not supported in a chat template", tag));
  }
  unexpected();
}

std::unique_ptr<Statement> Parser::if_statement() {
  auto result = statement_node(StatementKind::if_);
  do {
    next();  // if, elif
    result->expressions.push_back(tuple(false));
    result->bodies.push_back(block({"elif", "else", "endif"}));
  } while (now().is_name("elif"));
  if (skip_name("else")) result->bodies.push_back(block({"endif"}));
  leave("endif");
  return result;
}

std::unique_ptr<Statement> Parser::for_statement() {
  auto result = statement_node(StatementKind::for_);
  next();
  result->targets.push_back(target(false));
  expect_name("in");
  result->expressions.push_back(tuple(false));
  if (skip_name("if")) result->expressions.push_back(expression());
  if (now().is_name("recursive"))
    problem("a recursive loop ('recursive') is not supported: use a macro");
  ++loops_;
  result->bodies.push_back(block({"endfor", "else"}));
  --loops_;
  if (skip_name("else")) result->bodies.push_back(block({"endfor"}));
  leave("endfor");
  return result;
}

Target Parser::one_target(bool with_attribute) {
  Target result;
  if (skip_symbol("(")) {
    result = target(with_attribute);
    expect_symbol(")");
    return result;
  }
  static constexpr std::string_view kWords[] = {"true", "false", "none", "True", "False", "None"};
  if (std::find(std::begin(kWords), std::end(kWords), now().text) != std::end(kWords)) {
    problem(fmt::format("cannot assign to '{}'", now().text));
  }
  result.name = take_name();
  if (with_attribute && skip_symbol(".")) result.attribute = take_name();
  return result;
}

Target Parser::target(bool with_attribute) {
  if (++depth_ > kMaxDepth) problem(fmt::format("nesting deeper than {}", kMaxDepth));
  Target first = one_target(with_attribute);
  if (now().is_symbol(",")) {
    Target several;
    several.several.push_back(std::move(first));
    while (skip_symbol(",")) {
      if (now().kind != TokenKind::name && !now().is_symbol("(")) break;
      if (now().is_name("in")) break;
      several.several.push_back(one_target(with_attribute));
    }
    first = std::move(several);
  }
  --depth_;
  return first;
}

std::unique_ptr<Statement> Parser::set_statement() {
  auto result = statement_node(StatementKind::set);
  next();
  result->targets.push_back(target(true));
  if (skip_symbol("=")) {
    result->expressions.push_back(tuple());
    return result;
  }
  result->kind = StatementKind::set_block;
  ExpressionPtr filters;
  while (now().is_symbol("|")) filters = filter(std::move(filters));
  if (filters) result->expressions.push_back(std::move(filters));
  result->bodies.push_back(block({"endset"}));
  leave("endset");
  return result;
}

void Parser::parameters(Statement& node) {
  expect_symbol("(");
  while (!now().is_symbol(")")) {
    Parameter parameter;
    parameter.name = take_name();
    if (skip_symbol("=")) {
      parameter.fallback = expression();
    } else if (!node.parameters.empty() && node.parameters.back().fallback) {
      problem("an argument without a default follows one with a default");
    }
    node.parameters.push_back(std::move(parameter));
    if (!skip_symbol(",")) break;
  }
  expect_symbol(")");
}

std::unique_ptr<Statement> Parser::macro_statement() {
  auto result = statement_node(StatementKind::macro);
  next();
  result->name = take_name();
  parameters(*result);
  const int outer_loops = std::exchange(loops_, 0);
  result->bodies.push_back(block({"endmacro"}));
  loops_ = outer_loops;
  leave("endmacro");
  return result;
}

std::unique_ptr<Statement> Parser::call_statement() {
  auto result = statement_node(StatementKind::call_block);
  next();
  if (now().is_symbol("(")) parameters(*result);
  ExpressionPtr call = expression();
  if (call->kind != ExpressionKind::call) problem("a call block needs a call");
  result->expressions.push_back(std::move(call));
  const int outer_loops = std::exchange(loops_, 0);
  result->bodies.push_back(block({"endcall"}));
  loops_ = outer_loops;
  leave("endcall");
  return result;
}

std::unique_ptr<Statement> Parser::filter_statement() {
  auto result = statement_node(StatementKind::filter);
  next();
  auto first = node(ExpressionKind::filter);
  first->name = take_name();
  if (!find_filter(first->name)) problem(fmt::format("no filter named '{}'", first->name));
  first->parts.push_back(nullptr);
  if (now().is_symbol("(")) call_arguments(*first);
  ExpressionPtr filters = close(std::move(first));
  while (now().is_symbol("|")) filters = filter(std::move(filters));
  result->expressions.push_back(std::move(filters));
  result->bodies.push_back(block({"endfilter"}));
  leave("endfilter");
  return result;
}

std::unique_ptr<Statement> Parser::with_statement() {
  auto result = statement_node(StatementKind::with);
  next();
  while (now().kind != TokenKind::block_end) {
    if (!result->targets.empty()) expect_symbol(",");
    result->targets.push_back(one_target(false));
    expect_symbol("=");
    result->expressions.push_back(expression());
  }
  result->bodies.push_back(block({"endwith"}));
  leave("endwith");
  return result;
}

}  // namespace llm::jinja
