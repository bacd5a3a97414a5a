// Regular expressions of tokenizer.json, which are written for Oniguruma (Ruby syntax), matched by
// PCRE2 with its just-in-time compiler.
//
// The two dialects differ in places that tokenizers use: \s, \w, \h, \p{Script}, "{1,3}+" and (?m)
// are rewritten to what Oniguruma means by them; set operations ([a-z&&[^x]]) and nested sets are
// refused, because PCRE2 would read them as something else. Characters added in Unicode 15 and 16,
// which PCRE2 may not know, are letters, numbers and so on all the same. Backtracking is bounded: a
// pattern that takes too many steps, or a text that takes too long, is an Error(Exit::bad_input),
// never a hang. Const and thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/function_ref.h"

namespace llm {

class Regex {
 public:
  /// `subject` begins messages: "pre_tokenizer" gives "pre_tokenizer pattern is invalid at offset
  /// 9:
  /// ...".
  Regex(std::string_view pattern, std::string_view subject);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// Gives every match from left to right: begin and end in `text`, never overlapping; an empty
  /// match at the end of the one before it is skipped. Bytes that are not UTF-8 are in no match.
  void for_each_match(std::string_view text, FunctionRef<void(size_t, size_t)> match) const;

 private:
  struct Code;
  std::unique_ptr<const Code> code_;
  std::string subject_;
};

/// The pattern in PCRE2's syntax; throws as Regex() does.
std::string oniguruma_to_pcre2(std::string_view pattern, std::string_view subject);

}  // namespace llm
