// The lines that a tokenizer is trained on: cut out of any text, and an even sample of them where
// there are too many.
//
// SentencePiece keeps a few characters for itself (NUL, tab, U+2581, U+2585) and cannot use bytes
// that are not UTF-8: lines are cut there, and the characters are left to the byte pieces. Lines
// longer than kMaxLineBytes are cut before a space if there is one, so memory is at most max_lines
// * kMaxLineBytes. The sample depends on the lines and their order only, not on how the text
// arrives in parts that end at newlines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace llm {

inline constexpr size_t kMaxLineBytes = 1024;

class TrainingLines {
 public:
  /// max_lines 0 = all. keep_newlines: each newline of the text stays at the end of its line.
  TrainingLines(int64_t max_lines, bool keep_newlines);

  void add(std::string_view text);

  /// Lines of the text, whatever they are cut into.
  int64_t lines() const { return text_lines_; }
  /// Those of which something is in the sample.
  int64_t lines_used() const;
  int64_t text_bytes() const { return text_bytes_; }
  bool has_tab() const { return has_tab_; }
  /// The sample; emptied by the call.
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  void add_line(std::string_view line);
  void add_clean(std::string_view line);
  void keep(std::string_view line);

  size_t max_lines_;
  bool keep_newlines_;
  std::vector<std::string> lines_;
  std::vector<int64_t> origins_;  // of each: which line of the text it is from
  Random random_;
  int64_t seen_ = 0, text_lines_ = 0, text_bytes_ = 0;
  bool has_tab_ = false;
};

}  // namespace llm
