// Numbers as people write them: strict reading, and writing for logs and config files.
//
// Reading uses std::from_chars on the whole text and never guesses: "1e3" is not a whole number,
// "010" is ambiguous, "1,5" is not a number, "nan" and "inf" are refused. A whole number may end in
// k/K, M, G/B or T (powers of 1000): 32k = 32,000, 1.5M = 1,500,000. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llm {

enum class NumberFault {
  none,
  not_a_number,  // neither digits nor a known suffix
  too_large,     // does not fit int64, or overflows double
  not_finite,    // nan or inf
  leading_zero,  // 010: octal somewhere, decimal elsewhere
  exponent,      // 1e3 where a whole number is wanted
  comma,         // 1,5
  fraction,      // 1.5 where a whole number is wanted
};

template <typename T>
struct ParsedNumber {
  T value{};
  NumberFault fault = NumberFault::none;
  std::string remedy;  // "write 1000", "use a point: 1.5"; may be empty
  explicit operator bool() const { return fault == NumberFault::none; }
};

ParsedNumber<int64_t> parse_whole_number(std::string_view text);
ParsedNumber<double> parse_number(std::string_view text);

/// A size: plain bytes, or with KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024),
/// upper or lower case: 200MB, 1.5GB, 2GiB.
ParsedNumber<int64_t> parse_byte_size(std::string_view text);

/// 1234567 -> "1,234,567".
std::string format_count(int64_t count);
/// 10000000 -> "10M", 53723136 -> "53.7M", 812 -> "812".
std::string human_count(int64_t count);
/// 2040109465 -> "1.9 GiB", 812 -> "812 B".
std::string human_bytes(uint64_t bytes);
/// 5.2 -> "5s", 983 -> "16m", 5400 -> "1h30m", 200000 -> "2d7h".
std::string human_duration(double seconds);
/// The shortest text that reads back as the same double and is a float in YAML 1.1, YAML 1.2 and
/// JSON: 0.1, 1.0, 3.0e-04.
std::string format_number(double value);

}  // namespace llm
