// Ranges of characters as ranges of bytes.
//
// A set of Unicode characters becomes the few byte sequences that spell them in UTF-8: each
// sequence is one to four ranges, one per byte, and a text of the set fits exactly one of them. No
// overlong form and no surrogate is among them. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace llm::constraint {

struct CodeRange {
  uint32_t first = 0;  // both ends belong to it
  uint32_t last = 0;
  bool operator==(const CodeRange&) const = default;
};
using CodeSet = std::vector<CodeRange>;

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

/// Sorted, without overlaps or surrogates, neighbours joined, nothing past U+10FFFF.
CodeSet normalized(CodeSet set);

/// All characters that are not in it; normalized.
CodeSet complement(const CodeSet& set);

struct ByteRange {
  uint8_t first = 0;
  uint8_t last = 0;
};
using ByteSequence = std::vector<ByteRange>;  // 1 to 4 bytes

std::vector<ByteSequence> utf8_sequences(const CodeSet& set);

}  // namespace llm::constraint
