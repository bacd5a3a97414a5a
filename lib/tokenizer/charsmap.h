// The compiled normalisation rules of a SentencePiece model ("precompiled_charsmap").
//
// A double-array trie (darts-clone) and a block of NUL-terminated results,
// https://github.com/google/sentencepiece/blob/master/doc/normalization.md; every step through the
// array is checked against its size. Const and thread-safe; keeps views into the bytes given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace llm {

class Charsmap {
 public:
  Charsmap() = default;
  /// Throws Error(Exit::bad_input) when the rules are damaged; empty bytes are no rules.
  Charsmap(std::string_view bytes, std::string_view file_name);

  bool empty() const { return units_.empty(); }

  struct Match {
    std::string_view result;
    size_t consumed = 0;  // 0 = no rule begins here
  };
  Match longest(std::string_view text) const { return find(text, false); }
  Match shortest(std::string_view text) const { return find(text, true); }

 private:
  Match find(std::string_view text, bool first) const;
  uint32_t unit(size_t index) const;

  std::string_view units_;    // 4 bytes each, little endian
  std::string_view results_;  // ends in NUL
};

}  // namespace llm
