#include "serving/constraint/utf8_ranges.h"

#include <algorithm>

#include "base/utf8.h"

namespace llm::constraint {
namespace {

constexpr uint32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

int utf8_length(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

/// Characters of one length. Split until all bytes but the leading differing one span their whole
/// range, for then the range is the product of its bytes' ranges.
void add_sequences(CodeRange range, int length, std::vector<ByteSequence>& out) {
  for (int tail = 1; tail < length; ++tail) {
    const uint32_t mask = (1u << (6 * tail)) - 1;
    if ((range.first & ~mask) == (range.last & ~mask)) continue;
    if ((range.first & mask) != 0) {
      add_sequences({range.first, range.first | mask}, length, out);
      add_sequences({(range.first | mask) + 1, range.last}, length, out);
      return;
    }
    if ((range.last & mask) != mask) {
      add_sequences({range.first, (range.last & ~mask) - 1}, length, out);
      add_sequences({range.last & ~mask, range.last}, length, out);
      return;
    }
  }
  std::string first, last;
  utf8::append(first, range.first);
  utf8::append(last, range.last);
  ByteSequence sequence;
  for (size_t i = 0; i < first.size(); ++i) {
    sequence.push_back({static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i])});
  }
  out.push_back(std::move(sequence));
}

}  // namespace

CodeSet normalized(CodeSet set) {
  CodeSet valid;
  for (CodeRange range : set) {
    range.last = std::min(range.last, kLastCodePoint);
    if (range.first > range.last) continue;
    if (range.first < kFirstSurrogate) {
      valid.push_back({range.first, std::min(range.last, kFirstSurrogate - 1)});
    }
    if (range.last > kLastSurrogate) {
      valid.push_back({std::max(range.first, kLastSurrogate + 1), range.last});
    }
  }
  std::sort(valid.begin(), valid.end(), [](CodeRange a, CodeRange b) { return a.first < b.first; });
  CodeSet joined;
  for (const CodeRange range : valid) {
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

CodeSet complement(const CodeSet& set) {
  CodeSet rest;
  uint32_t next = 0;
  for (const CodeRange range : normalized(set)) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) rest.push_back({next, kLastCodePoint});
  return normalized(std::move(rest));
}

std::vector<ByteSequence> utf8_sequences(const CodeSet& set) {
  constexpr uint32_t kLengthEnds[] = {0x7F, 0x7FF, 0xFFFF, kLastCodePoint};
  std::vector<ByteSequence> sequences;
  for (CodeRange range : normalized(set)) {
    for (const uint32_t end : kLengthEnds) {
      if (range.first > end) continue;
      const uint32_t last = std::min(range.last, end);
      add_sequences({range.first, last}, utf8_length(last), sequences);
      range.first = last + 1;
      if (range.first > range.last) break;
    }
  }
  return sequences;
}

}  // namespace llm::constraint
