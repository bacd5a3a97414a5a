// Sets of characters as sequences of byte ranges.
#include "serving/constraint/utf8_ranges.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"

namespace llm::constraint {
namespace {

size_t sequences_that_fit(const std::vector<ByteSequence>& sequences, std::string_view text) {
  size_t count = 0;
  for (const ByteSequence& sequence : sequences) {
    bool fits = sequence.size() == text.size();
    for (size_t i = 0; fits && i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      fits = byte >= sequence[i].first && byte <= sequence[i].last;
    }
    count += fits;
  }
  return count;
}

void expect_exact(const CodeSet& set) {
  const auto sequences = utf8_sequences(set);
  for (uint32_t code_point = 0; code_point <= kLastCodePoint;
       code_point += code_point < 0x3000 ? 1 : 61) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    bool inside = false;
    for (const CodeRange range : set)
      inside = inside || (code_point >= range.first && code_point <= range.last);
    std::string text;
    utf8::append(text, code_point);
    ASSERT_EQ(sequences_that_fit(sequences, text), inside ? 1u : 0u) << code_point;
  }
}

TEST(Utf8Ranges, EveryCharacterOfASetFitsExactlyOneSequence) {
  expect_exact({{0, kLastCodePoint}});
  expect_exact({{'a', 'z'}});
  expect_exact({{0x7F, 0x80}, {0x7FF, 0x800}, {0xFFFF, 0x10000}});
  Random random(1);
  for (int i = 0; i < 8; ++i) {
    const auto first = static_cast<uint32_t>(random.below(0x3000));
    expect_exact({{first, first + static_cast<uint32_t>(random.below(0x100000 - first))}});
  }
}

TEST(Utf8Ranges, AllCharactersAreNineSequencesWithoutSurrogates) {
  const auto sequences = utf8_sequences({{0, kLastCodePoint}});
  EXPECT_EQ(sequences.size(), 9u);
  EXPECT_EQ(sequences_that_fit(sequences, "\xED\xA0\x80"), 0u);
  EXPECT_EQ(sequences_that_fit(sequences, "\xC0\x80"), 0u);
  EXPECT_EQ(sequences_that_fit(sequences, "\xF4\x90\x80\x80"), 0u);
}

TEST(Utf8Ranges, SetsAreNormalizedAndComplemented) {
  EXPECT_EQ(normalized({{5, 9}, {1, 2}, {3, 4}, {8, 12}, {20, 19}}), (CodeSet{{1, 12}}));
  EXPECT_EQ(normalized({{0xD7FF, 0xE000}}), (CodeSet{{0xD7FF, 0xD7FF}, {0xE000, 0xE000}}));
  EXPECT_EQ(complement({{0, 9}, {11, 0xD7FF}}), (CodeSet{{10, 10}, {0xE000, kLastCodePoint}}));
  EXPECT_TRUE(complement({{0, kLastCodePoint}}).empty());
  EXPECT_EQ(complement({}), normalized({{0, kLastCodePoint}}));
}

}  // namespace
}  // namespace llm::constraint
