// The characters of a grammar text: white space, names, escapes, classes, counts.
//
// A cursor over the text, used by gbnf.cpp. Refusals name line and column.
#pragma once

#include <string>
#include <string_view>

#include "serving/constraint/utf8_ranges.h"

namespace llm::constraint {

class GbnfReader {
 public:
  explicit GbnfReader(std::string_view text) : text_(text) {}

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool at_end() const { return at_ >= text_.size(); }
  bool at_line_end() const { return at_end() || peek() == '\n' || peek() == '\r'; }
  size_t offset() const { return at_; }
  bool take(std::string_view sign);
  /// Comments too.
  void skip_space(bool newlines);
  std::string_view read_name();  // "" where none stands here
  std::string read_text();       // at '"'; UTF-8
  CodeSet read_class();          // at '['
  uint32_t read_count();
  /// What stands here, for messages.
  std::string here() const;

  [[noreturn]] void refuse(size_t at, std::string_view problem) const;

 private:
  uint32_t read_character();
  uint32_t read_hex(int digits);

  std::string_view text_;
  size_t at_ = 0;
};

bool is_gbnf_name_character(char c);

}  // namespace llm::constraint
