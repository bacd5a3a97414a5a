// A template cut into tokens: text between tags, and what stands inside them.
//
// White space is treated as transformers sets Jinja up: the newline after a tag and the indentation
// before it go (trim_blocks, lstrip_blocks), `-` takes all white space, `+` keeps it, and the last
// newline of the source is dropped. Comments and raw blocks are dissolved here. Throws Problem;
// lexing_line() of the exception path is the line reached.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llm::jinja {

enum class TokenKind : uint8_t {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  text,
  integer,
  real,
  symbol,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 1;
  std::string text;  // name, symbol, data, or the value of a string
  int64_t integer = 0;
  double real = 0;

  bool is_name(std::string_view word) const { return kind == TokenKind::name && text == word; }
  bool is_symbol(std::string_view sign) const { return kind == TokenKind::symbol && text == sign; }
};

/// `line` follows the lexer, for messages. Always ends in an `end` token.
std::vector<Token> tokenize_template(std::string_view source, int& line);

/// For messages: 'endfor', end of template.
std::string describe(const Token& token);

}  // namespace llm::jinja
