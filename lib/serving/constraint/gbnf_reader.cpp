#include "serving/constraint/gbnf_reader.h"

#include "base/error.h"
#include "base/hex.h"
#include "base/utf8.h"

namespace llm::constraint {
namespace {

constexpr uint32_t kMaxRepetitions = 1'000'000'000;

}  // namespace

bool is_gbnf_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

void GbnfReader::refuse(size_t at, std::string_view problem) const {
  const std::string_view before = text_.substr(0, at);
  size_t line = 1;
  for (const char c : before) line += c == '\n';
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  fail(Exit::usage, fmt::format("{}: line {} column {}: {}", "grammar", line,
                                utf8::length(before.substr(line_start)) + 1, problem));
}

/// What stands at this place, for messages.
std::string GbnfReader::here() const {
  if (at_end()) return "the end";
  if (peek() == '\n' || peek() == '\r') return "the end of the line";
  return fmt::format("'{}'", text_.substr(at_, utf8::first_character(text_.substr(at_)).length));
}

void GbnfReader::skip_space(bool newlines) {
  while (!at_end()) {
    const char c = peek();
    if (c == '#') {
      while (!at_end() && peek() != '\n' && peek() != '\r') ++at_;
    } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
      ++at_;
    } else {
      return;
    }
  }
}

std::string_view GbnfReader::read_name() {
  const size_t begin = at_;
  while (!at_end() && is_gbnf_name_character(peek())) ++at_;
  return text_.substr(begin, at_ - begin);
}

bool GbnfReader::take(std::string_view sign) {
  if (!text_.substr(at_).starts_with(sign)) return false;
  at_ += sign.size();
  return true;
}

uint32_t GbnfReader::read_hex(int digits) {
  uint32_t value = 0;
  const size_t begin = at_;
  for (int i = 0; i < digits; ++i, ++at_) {
    const int digit = hex_value(peek());
    if (digit < 0) refuse(at_, fmt::format("expected {} hexadecimal digits", digits));
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF)) {
    refuse(begin, fmt::format("U+{:04X} is not a character", value));
  }
  return value;
}

uint32_t GbnfReader::read_character() {
  if (peek() != '\\') {
    const utf8::Character character = utf8::first_character(text_.substr(at_));
    at_ += character.length;
    return character.code_point;
  }
  ++at_;
  const char c = peek();
  ++at_;
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x':
      return read_hex(2);
    case 'u':
      return read_hex(4);
    case 'U':
      return read_hex(8);
    case '\\':
    case '"':
    case '[':
    case ']':
      return static_cast<uint32_t>(c);
    default:
      refuse(at_ - 2, "unknown escape");
  }
}

std::string GbnfReader::read_text() {
  const size_t begin = at_++;
  std::string bytes;
  while (peek() != '"') {
    if (at_end()) refuse(begin, "this text has no closing '\"'");
    utf8::append(bytes, read_character());
  }
  ++at_;
  return bytes;
}

CodeSet GbnfReader::read_class() {
  const size_t begin = at_++;
  const bool negated = peek() == '^';
  at_ += negated;
  CodeSet set;
  while (peek() != ']') {
    if (at_end()) refuse(begin, "this class has no closing ']'");
    const size_t start = at_;
    CodeRange range{read_character(), 0};
    range.last = range.first;
    if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      range.last = read_character();
    }
    if (range.first > range.last) refuse(start, "a range that ends before it begins");
    set.push_back(range);
  }
  ++at_;
  if (set.empty() && !negated) refuse(begin, "an empty class matches nothing");
  return negated ? complement(set) : set;
}

uint32_t GbnfReader::read_count() {
  const size_t begin = at_;
  uint64_t count = 0;
  for (; peek() >= '0' && peek() <= '9'; ++at_) {
    count = count * 10 + static_cast<uint64_t>(peek() - '0');
    if (count > kMaxRepetitions) {
      refuse(begin, fmt::format("a repetition of more than {}", kMaxRepetitions));
    }
  }
  if (at_ == begin) refuse(at_, fmt::format("expected a number, found {}", here()));
  return static_cast<uint32_t>(count);
}

}  // namespace llm::constraint
