// From tokens to the tree: the grammar of Jinja's expressions and statements.
//
// Precedence and oddities are Jinja's own: a filter binds closer than a minus sign on its left is
// wide, `~` stands between + and *, comparisons chain. Tags that load other templates are refused
// by name, unknown filters and tests too. Throws Problem.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja_lexer.h"
#include "tokenizer/jinja_syntax.h"

namespace llm::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, int& line) : tokens_(std::move(tokens)), line_(line) {}
  Body parse();

 private:
  // tokens
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next();
  bool skip_symbol(std::string_view sign);
  bool skip_name(std::string_view word);
  void expect_symbol(std::string_view sign);
  void expect_name(std::string_view word);
  void expect_kind(TokenKind kind);
  std::string take_name();
  [[noreturn]] void unexpected() const;

  // expressions: jinja_parser.cpp
  std::unique_ptr<Expression> node(ExpressionKind kind) const;
  ExpressionPtr close(std::unique_ptr<Expression> node) const;
  ExpressionPtr pair(ExpressionKind kind, ExpressionPtr left, ExpressionPtr right,
                     Operator op = Operator::add) const;
  ExpressionPtr expression(bool with_choice = true);
  ExpressionPtr choice();
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filter = true);
  ExpressionPtr primary();
  ExpressionPtr tuple(bool with_choice = true, bool parenthesised = false);
  ExpressionPtr list_display();
  ExpressionPtr dict_display();
  ExpressionPtr postfix(ExpressionPtr base);
  ExpressionPtr subscript(ExpressionPtr base);
  ExpressionPtr filters_and_tests(ExpressionPtr base);
  ExpressionPtr filter(ExpressionPtr base);
  ExpressionPtr test(ExpressionPtr base);
  ExpressionPtr call(ExpressionPtr base);
  void call_arguments(Expression& call);

  // statements: jinja_statements.cpp
  Body body(std::initializer_list<std::string_view> ends);
  Body block(std::initializer_list<std::string_view> ends);
  void leave(std::string_view end);
  std::unique_ptr<Statement> statement_node(StatementKind kind) const;
  std::unique_ptr<Statement> statement();
  std::unique_ptr<Statement> if_statement();
  std::unique_ptr<Statement> for_statement();
  std::unique_ptr<Statement> set_statement();
  std::unique_ptr<Statement> macro_statement();
  std::unique_ptr<Statement> call_statement();
  std::unique_ptr<Statement> filter_statement();
  std::unique_ptr<Statement> with_statement();
  Target target(bool with_attribute);
  Target one_target(bool with_attribute);
  void parameters(Statement& node);

  std::vector<Token> tokens_;
  int& line_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // that break and continue may leave
};

}  // namespace llm::jinja
