// Formats of strings, exactly.
#include "serving/constraint/string_formats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/constraint/grammar_support.h"

namespace llm {
namespace {

using constraint::StackWalker;

SharedGrammar format_of(const char* format) {
  return schema_grammar({{"type", "string"}, {"format", format}});
}

TEST(StringFormats, EveryDayOfTheCalendarAndNoOther) {
  StackWalker walker(format_of("date"));
  for (const int year : {1000, 1600, 1700, 1900, 1996, 2000, 2023, 2024, 2100, 2400, 9999}) {
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 0; month <= 13; ++month) {
      for (int day = 0; day <= 32; ++day) {
        const bool exists = month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
        const std::string text = fmt::format("\"{:04}-{:02}-{:02}\"", year, month, day);
        ASSERT_EQ(walker.walk(walker.start(), text) != StackWalker::kDead, exists) << text;
      }
    }
  }
}

TEST(StringFormats, EveryByteOfAnAddressAndNoOther) {
  StackWalker walker(format_of("ipv4"));
  for (int byte = 0; byte <= 300; ++byte) {
    const std::string text = fmt::format("\"10.{}.0.255\"", byte);
    ASSERT_EQ(walker.walk(walker.start(), text) != StackWalker::kDead, byte <= 255) << text;
  }
  EXPECT_FALSE(matches(format_of("ipv4"), "\"01.2.3.4\""));
  EXPECT_FALSE(matches(format_of("ipv4"), "\"1.2.3\""));
}

TEST(StringFormats, TimesIdsAndAddresses) {
  EXPECT_TRUE(matches(format_of("time"), "\"23:59:59Z\""));
  EXPECT_TRUE(matches(format_of("time"), "\"00:00:00.5+05:30\""));
  EXPECT_FALSE(matches(format_of("time"), "\"24:00:00Z\""));
  EXPECT_FALSE(matches(format_of("time"), "\"12:00:00\""));
  EXPECT_TRUE(matches(format_of("date-time"), "\"2024-02-29T12:30:00Z\""));
  EXPECT_FALSE(matches(format_of("date-time"), "\"2023-02-29T12:30:00Z\""));
  EXPECT_TRUE(matches(format_of("uuid"), "\"123e4567-e89b-12d3-a456-426614174000\""));
  EXPECT_FALSE(matches(format_of("uuid"), "\"123e4567e89b12d3a456426614174000\""));
  EXPECT_TRUE(matches(format_of("email"), "\"jane.doe+x@mail.example.org\""));
  EXPECT_FALSE(matches(format_of("email"), "\".jane@example.org\""));
  EXPECT_FALSE(matches(format_of("email"), "\"jane@-example.org\""));
  EXPECT_FALSE(matches(format_of("email"), "\"jane@localhost\""));
  EXPECT_EQ(constraint::format_pattern("hostname"), std::nullopt);
}

}  // namespace
}  // namespace llm
