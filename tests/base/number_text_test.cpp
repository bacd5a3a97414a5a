#include "base/number_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace llm {
namespace {

void expect_whole(std::string_view text, int64_t value) {
  const auto parsed = parse_whole_number(text);
  EXPECT_TRUE(parsed) << text;
  EXPECT_EQ(parsed.value, value) << text;
}

void expect_whole_fault(std::string_view text, NumberFault fault, std::string_view remedy = "") {
  const auto parsed = parse_whole_number(text);
  EXPECT_EQ(parsed.fault, fault) << text;
  EXPECT_EQ(parsed.remedy, remedy) << text;
}

TEST(WholeNumber, ReadsDigitsSignsAndSuffixes) {
  expect_whole("0", 0);
  expect_whole("-1", -1);
  expect_whole("9223372036854775807", std::numeric_limits<int64_t>::max());
  expect_whole("-9223372036854775808", std::numeric_limits<int64_t>::min());
  expect_whole("32k", 32000);
  expect_whole("10M", 10000000);
  expect_whole("1.5M", 1500000);
  expect_whole("2G", 2000000000);
  expect_whole("7B", 7000000000);
  expect_whole("1T", 1000000000000);
}

TEST(WholeNumber, RefusesWhatItWouldHaveToGuess) {
  expect_whole_fault("1e3", NumberFault::exponent, "write 1000");
  expect_whole_fault("010", NumberFault::leading_zero, "write 10 or 8");
  expect_whole_fault("09", NumberFault::leading_zero, "write 9");
  expect_whole_fault("1,000", NumberFault::comma, "write 1000");
  expect_whole_fault("1.5", NumberFault::fraction);
  expect_whole_fault("2.0", NumberFault::fraction, "write 2");
  expect_whole_fault("nan", NumberFault::not_finite);
  expect_whole_fault("99999999999999999999", NumberFault::too_large);
  expect_whole_fault("9223372036854775808", NumberFault::too_large);
  expect_whole_fault("99999999999G", NumberFault::too_large);
  expect_whole_fault("1.2345k", NumberFault::fraction);
  for (const char* text : {"", " 1", "1 ", "+1", "--1", "k", "12x", "0x10", "1_000", "1.k",
                           "twelve", "1kk", "-", ".5M"}) {
    expect_whole_fault(text, NumberFault::not_a_number);
  }
}

TEST(Number, ReadsDecimalsAndExponents) {
  EXPECT_EQ(parse_number("0.1").value, 0.1);
  EXPECT_EQ(parse_number("-2").value, -2.0);
  EXPECT_EQ(parse_number("3e-4").value, 3e-4);
  EXPECT_EQ(parse_number("1E5").value, 1e5);
  EXPECT_EQ(parse_number(".5").value, 0.5);
  EXPECT_EQ(parse_number("32k").value, 32000.0);
}

TEST(Number, RefusesCommaNanAndNoise) {
  EXPECT_EQ(parse_number("1,5").fault, NumberFault::comma);
  EXPECT_EQ(parse_number("1,5").remedy, "use a point: 1.5");
  EXPECT_EQ(parse_number("nan").fault, NumberFault::not_finite);
  EXPECT_EQ(parse_number(".nan").fault, NumberFault::not_finite);
  EXPECT_EQ(parse_number("-inf").fault, NumberFault::not_finite);
  EXPECT_EQ(parse_number("Infinity").fault, NumberFault::not_finite);
  EXPECT_EQ(parse_number("1e999").fault, NumberFault::too_large);
  EXPECT_EQ(parse_number("00.5").fault, NumberFault::leading_zero);
  for (const char* text : {"", "e5", "1e", "1.2.3", "0x1p3", "1 ", "+1", "-", "."}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(NumberFormat, ReadsBackAsTheSameDouble) {
  for (const double value :
       {0.1, 1.0, 3e-4, 1e-5, 1e22, 0.30000000000000004, 1.7976931348623157e308, 5e-324, -2.5, 0.0,
        123456789.125, 1e15, 9.5e-4}) {
    const std::string text = format_number(value);
    double back = 0;
    back = std::strtod(text.c_str(), nullptr);
    EXPECT_EQ(back, value) << text;
    EXPECT_NE(text.find('.'), std::string::npos) << text << " must be a float to every YAML reader";
  }
  EXPECT_EQ(format_number(1), "1.0");
  EXPECT_EQ(format_number(1e-5), "1.0e-05");
  EXPECT_EQ(format_number(3e-4), "3.0e-04");
  EXPECT_EQ(format_number(0.1), "0.1");
}

TEST(NumberFormat, CountsBytesAndTimesForPeople) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(-1234), "-1,234");
  EXPECT_EQ(human_count(812), "812");
  EXPECT_EQ(human_count(10000000), "10M");
  EXPECT_EQ(human_count(53723136), "53.7M");
  EXPECT_EQ(human_bytes(812), "812 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(2040109466), "1.9 GiB");
  EXPECT_EQ(human_duration(5.2), "5s");
  EXPECT_EQ(human_duration(983), "16m");
  EXPECT_EQ(human_duration(5400), "1h30m");
  EXPECT_EQ(human_duration(200000), "2d8h");
  EXPECT_EQ(human_duration(std::nan("")), "?");
}

}  // namespace
}  // namespace llm
