// The characters of a pattern: what one character, escape or class stands for.
//
// A cursor over the text, used by pattern.cpp. Refusals name the offset.
#pragma once

#include <string_view>

#include "serving/constraint/utf8_ranges.h"

namespace llm::constraint {

class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool at_end() const { return at_ >= text_.size(); }
  size_t offset() const { return at_; }
  /// Moves past `sign` if it stands here.
  bool take(std::string_view sign);
  bool stands(std::string_view sign) const { return text_.substr(at_).starts_with(sign); }
  /// Moves past the next `sign`; false where there is none.
  bool take_up_to(char sign);
  /// {n}, {n,} or {n,m}; anything else is the character '{' and stays.
  bool take_counts(uint32_t& min, uint32_t& max);

  CodeSet read_character();            // one that stands for itself
  CodeSet read_escape(bool in_class);  // at a backslash
  CodeSet read_class();                // at '['

  [[noreturn]] void refuse(std::string_view problem, size_t at) const;

 private:
  uint32_t read_hex(int digits);
  uint32_t read_code_point(size_t begin);

  std::string_view text_;
  size_t at_ = 0;
};

/// What '.' stands for.
CodeSet pattern_dot();

}  // namespace llm::constraint
