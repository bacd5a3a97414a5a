#include "base/utf8.h"

#include <gtest/gtest.h>

namespace llm {
namespace {

TEST(Utf8, PrintableTextHasNoControlCharacters) {
  for (const char* text : {"", "a b", "caf\u00e9", "\u732b"})
    EXPECT_TRUE(utf8::is_printable(text)) << text;
  for (const char* text : {"a\nb", "\x1b[1m", "\x7f", "\xff"})
    EXPECT_FALSE(utf8::is_printable(text));
  EXPECT_FALSE(utf8::is_printable(std::string_view("a\0b", 3)));
}

TEST(Utf8, AcceptsEveryCodePointAndNothingElse) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
      continue;
    }
    std::string text;
    utf8::append(text, code_point);
    const utf8::Character character = utf8::first_character(text);
    ASSERT_TRUE(character.valid) << code_point;
    ASSERT_EQ(character.code_point, code_point);
    ASSERT_EQ(character.length, text.size());
  }
}

TEST(Utf8, RefusesOverlongSurrogatesAndOutOfRange) {
  for (const char* text : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF",
                           "\xF0\x80\x80\x80", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80",
                           "\xF5\x80\x80\x80", "\xFF", "\x80", "\xE2\x82", "\xE2\x28\xA1"}) {
    EXPECT_FALSE(utf8::is_valid(text)) << static_cast<int>(static_cast<unsigned char>(text[0]));
  }
}

TEST(Utf8, PointsAtTheFirstBadByte) {
  EXPECT_EQ(utf8::first_invalid("abc"), std::nullopt);
  EXPECT_EQ(utf8::first_invalid("ab\xFFz"), 2u);
  EXPECT_EQ(utf8::first_invalid("a\xE2\x82"), 1u);
  EXPECT_EQ(utf8::valid_prefix("h\xC3\xA9\x80"), 3u);
}

TEST(Utf8, HoldsBackOnlyAnUnfinishedCharacter) {
  const std::string emoji = "\xF0\x9F\x98\x80";
  EXPECT_EQ(utf8::incomplete_suffix_length("a" + emoji), 0u);
  EXPECT_EQ(utf8::incomplete_suffix_length("a" + emoji.substr(0, 1)), 1u);
  EXPECT_EQ(utf8::incomplete_suffix_length("a" + emoji.substr(0, 2)), 2u);
  EXPECT_EQ(utf8::incomplete_suffix_length("a" + emoji.substr(0, 3)), 3u);
  EXPECT_EQ(utf8::incomplete_suffix_length("a\xFF"), 0u);
  EXPECT_EQ(utf8::incomplete_suffix_length("\xE0\x80"), 0u)
      << "an overlong beginning never becomes a character";
  EXPECT_EQ(utf8::incomplete_suffix_length(""), 0u);
}

TEST(Utf8, ReplacesEachBrokenSequenceOnce) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8::replace_invalid("ok"), "ok");
  EXPECT_EQ(utf8::replace_invalid("a\xFFz"), "a" + mark + "z");
  EXPECT_EQ(utf8::replace_invalid("\xF0\x9F\x98"), mark);
  EXPECT_EQ(utf8::replace_invalid("\xE2\x82\xE2\x82\xAC"), mark + "\xE2\x82\xAC");
  EXPECT_EQ(utf8::replace_invalid("\xC0\x80"), mark + mark);
}

TEST(Utf8, CountsCharacters) {
  EXPECT_EQ(utf8::length("h\xC3\xA9llo"), 5u);
  EXPECT_EQ(utf8::length("\xFF\xFF"), 2u);
}

}  // namespace
}  // namespace llm
