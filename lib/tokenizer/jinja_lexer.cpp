#include "tokenizer/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/utf8.h"
#include "tokenizer/jinja_value.h"

namespace llm::jinja {
namespace {

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Line ends as \n, without the last one.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

int hex_value(std::string_view digits) {
  int value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return error == std::errc() && end == digits.data() + digits.size() ? value : -1;
}

class Lexer {
 public:
  Lexer(std::string_view source, int& line) : source_(normalized(source)), line_(line) {}

  std::vector<Token> run() {
    line_ = 1;
    while (at_ < source_.size()) text_until_tag();
    add(TokenKind::end);
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view word) const {
    return std::string_view(source_).substr(at_).starts_with(word);
  }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  Token& add(TokenKind kind, std::string text = {}) {
    Token& token = tokens_.emplace_back();
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    return token;
  }

  void advance(size_t count) {
    line_ +=
        static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                    source_.begin() + static_cast<ptrdiff_t>(at_ + count), '\n'));
    at_ += count;
  }

  void skip_blanks() {
    size_t count = 0;
    while (is_blank(peek(count))) ++count;
    advance(count);
  }

  /// Data before a tag that starts at `end`; sign is the character after the tag's two, `lstrip`
  /// whether indentation may go.
  void add_data(size_t end, char sign, bool lstrip) {
    std::string_view data = std::string_view(source_).substr(at_, end - at_);
    if (sign == '-') {
      while (!data.empty() && is_blank(data.back())) data.remove_suffix(1);
    } else if (sign != '+' && lstrip) {
      const size_t newline = data.rfind('\n');
      const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((begin > 0 || line_starting_) &&
          std::all_of(data.begin() + static_cast<ptrdiff_t>(begin), data.end(), is_blank)) {
        data = data.substr(0, begin);
      }
    }
    if (!data.empty()) add(TokenKind::data, std::string(data));
    advance(end - at_);
  }

  void text_until_tag() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 == source_.size()) {
        add(TokenKind::data, source_.substr(at_));
        advance(source_.size() - at_);
        return;
      }
      if (const char next = source_[tag + 1]; next == '%' || next == '{' || next == '#') break;
      ++tag;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    add_data(tag, sign, kind != '{');
    advance(sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#') {
      comment();
    } else if (kind == '{') {
      add(TokenKind::variable_begin);
      inside_tag("}}", TokenKind::variable_end);
    } else if (!raw_block()) {
      add(TokenKind::block_begin);
      inside_tag("%}", TokenKind::block_end);
    }
  }

  /// After the two characters that end a tag: the newline that trim_blocks takes, or all white
  /// space after `-`.
  void leave_tag(char sign, bool trims) {
    const size_t begin = at_;
    advance(2);
    if (sign == '-') {
      skip_blanks();
    } else if (sign != '+' && trims && peek() == '\n') {
      advance(1);
    }
    line_starting_ = at_ > begin && source_[at_ - 1] == '\n';
  }

  void comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) problem("a comment does not end");
    char sign = end > at_ ? source_[end - 1] : '\0';
    advance(end - at_);
    leave_tag(sign, true);
  }

  /// {% raw %} ... {% endraw %}; at_ is behind "{%" and its sign.
  bool raw_block() {
    size_t ahead = 0;
    while (is_blank(peek(ahead))) ++ahead;
    if (!std::string_view(source_).substr(std::min(at_ + ahead, source_.size())).starts_with("raw"))
      return false;
    ahead += 3;
    while (is_blank(peek(ahead))) ++ahead;
    const bool strips = peek(ahead) == '-';
    ahead += strips;
    if (peek(ahead) != '%' || peek(ahead + 1) != '}') return false;
    advance(ahead + 2);
    if (strips) skip_blanks();
    line_starting_ = source_[at_ - 1] == '\n';
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos;
         tag = source_.find("{%", tag + 2)) {
      size_t end = tag + 2;
      const char sign = end < source_.size() ? source_[end] : '\0';
      end += sign == '-' || sign == '+';
      while (end < source_.size() && is_blank(source_[end])) ++end;
      if (source_.compare(end, 6, "endraw") != 0) continue;
      end += 6;
      while (end < source_.size() && is_blank(source_[end])) ++end;
      const char last = end < source_.size() ? source_[end] : '\0';
      end += last == '-' || last == '+';
      if (source_.compare(end, 2, "%}") != 0) continue;
      add_data(tag, sign, true);
      advance(end - at_);
      leave_tag(last, true);
      return true;
    }
    problem("a raw block does not end");
  }

  void inside_tag(std::string_view close, TokenKind kind) {
    std::string open;  // brackets
    while (true) {
      skip_blanks();
      if (at_ >= source_.size()) problem("a tag does not end");
      if (open.empty()) {
        const char sign = peek();
        const bool has_sign = (sign == '-' || (sign == '+' && close == "%}")) &&
                              std::string_view(source_).substr(at_ + 1).starts_with(close);
        if (has_sign || looking_at(close)) {
          add(kind);
          if (has_sign) advance(1);
          leave_tag(has_sign ? sign : '\0', close == "%}");
          return;
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = peek();
    if (is_digit(c)) {
      number();
    } else if (is_name_start(c)) {
      size_t length = 0;
      while (is_name_start(peek(length)) || is_digit(peek(length))) ++length;
      add(TokenKind::name, source_.substr(at_, length));
      advance(length);
    } else if (c == '\'' || c == '"') {
      string(c);
    } else {
      symbol(open);
    }
  }

  void symbol(std::string& open) {
    for (const std::string_view sign : {"**", "//", "==", "!=", ">=", "<="}) {
      if (looking_at(sign)) {
        add(TokenKind::symbol, std::string(sign));
        return advance(2);
      }
    }
    const char c = peek();
    if (std::string_view("+-*/%~[](){}=.,:|<>;").find(c) == std::string_view::npos) {
      const utf8::Character wrong = utf8::first_character(std::string_view(source_).substr(at_));
      problem(fmt::format("unexpected character '{}'", source_.substr(at_, wrong.length)));
    }
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '{') open += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) problem(fmt::format("unexpected '{}'", c));
      if (open.back() != c) problem(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    add(TokenKind::symbol, std::string(1, c));
    advance(1);
  }

  void number() {
    size_t length = 0;
    bool real = false;
    int base = 10;
    if (peek() == '0' && peek(1) != '\0' &&
        std::string_view("xXoObB").find(peek(1)) != std::string_view::npos) {
      base = (peek(1) | 32) == 'x' ? 16 : (peek(1) | 32) == 'o' ? 8 : 2;
      length = 2;
      while (is_name_start(peek(length)) || is_digit(peek(length))) ++length;
    } else {
      const auto digits = [&] {
        while (is_digit(peek(length)) || (peek(length) == '_' && is_digit(peek(length + 1))))
          ++length;
      };
      digits();
      if (peek(length) == '.' && is_digit(peek(length + 1))) {
        real = true;
        ++length;
        digits();
      }
      const size_t sign = peek(length + 1) == '-' || peek(length + 1) == '+';
      if ((peek(length) | 32) == 'e' && is_digit(peek(length + 1 + sign))) {
        real = true;
        length += 1 + sign;
        digits();
      }
    }
    std::string digits = source_.substr(at_, length);
    std::erase(digits, '_');
    Token& token = add(real ? TokenKind::real : TokenKind::integer, digits);
    const char* begin = digits.data() + (base == 10 ? 0 : 2);
    const char* end = digits.data() + digits.size();
    const auto result = real ? std::from_chars(begin, end, token.real)
                             : std::from_chars(begin, end, token.integer, base);
    if (result.ec != std::errc() || result.ptr != end) {
      problem(fmt::format("number '{}' is not a number or too large", digits.substr(0, 40)));
    }
    advance(length);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) problem("a string does not end");
    add(TokenKind::text, unescaped(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
  }

  static std::string unescaped(std::string_view raw) {
    std::string text;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\' || i + 1 == raw.size()) {
        text += raw[i];
        continue;
      }
      const char c = raw[++i];
      static constexpr std::string_view kNames = "\\'\"abfnrtv", kBytes = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t known = kNames.find(c); known != std::string_view::npos) {
        text += kBytes[known];
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        const int code = raw.size() - i - 1 < digits ? -1 : hex_value(raw.substr(i + 1, digits));
        if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
          problem(fmt::format("'\\{}' in a string needs {} hexadecimal digits of a character", c,
                              digits));
        }
        utf8::append(text, static_cast<uint32_t>(code));
        i += digits;
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        size_t count = 0;
        for (;
             count < 3 && i + count < raw.size() && raw[i + count] >= '0' && raw[i + count] <= '7';
             ++count)
          code = code * 8 + static_cast<uint32_t>(raw[i + count] - '0');
        utf8::append(text, code);
        i += count - 1;
      } else if (c == 'N') {
        problem("'\\N' in a string is not supported: write the character itself");
      } else if (c != '\n') {
        text += '\\';
        text += c;
      }
    }
    return text;
  }

  std::string source_;
  int& line_;
  size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source, int& line) {
  return Lexer(source, line).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "text";
    case TokenKind::variable_begin:
      return "'{{'";
    case TokenKind::variable_end:
      return "'}}'";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::end:
      return "end of template";
    default:
      return fmt::format("'{}'", token.text.substr(0, 60));
  }
}

}  // namespace llm::jinja
