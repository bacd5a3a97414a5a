#include "base/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace llm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool says_not_finite(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    text.remove_prefix(1);
  }
  if (!text.empty() && text[0] == '.') {  // YAML writes .nan and .inf
    text.remove_prefix(1);
  }
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return lower == "nan" || lower == "inf" || lower == "infinity";
}

/// Zeros that a suffix adds: k 3, M 6, G or B 9, T 12; 0 if the letter is none of these.
int suffix_zeros(char letter) {
  switch (letter) {
    case 'k':
    case 'K':
      return 3;
    case 'M':
      return 6;
    case 'G':
    case 'B':
      return 9;
    case 'T':
      return 12;
    default:
      return 0;
  }
}

template <typename T>
ParsedNumber<T> refused(NumberFault what, std::string remedy = {}) {
  return {T{}, what, std::move(remedy)};
}

ParsedNumber<int64_t> digits_to_int(std::string_view sign, std::string_view digits) {
  const std::string text = std::string(sign) + std::string(digits);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return refused<int64_t>(NumberFault::too_large);
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return refused<int64_t>(NumberFault::not_a_number);
  }
  return {value, NumberFault::none, {}};
}

/// What a double would be as a whole number, for the remedy "write 1000".
std::string whole_remedy(std::string_view text) {
  const ParsedNumber<double> number = parse_number(text);
  if (number && number.value == std::floor(number.value) && std::fabs(number.value) < 9e15) {
    return fmt::format("write {}", static_cast<int64_t>(number.value));
  }
  return {};
}

/// "1.5" with three zeros -> "1500"; nullopt-like empty if a digit would be lost.
std::string shift_point(std::string_view digits, std::string_view fraction, int zeros) {
  while (!fraction.empty() && fraction.back() == '0') {
    fraction.remove_suffix(1);
  }
  if (static_cast<int>(fraction.size()) > zeros) {
    return {};
  }
  return std::string(digits) + std::string(fraction) + std::string(zeros - fraction.size(), '0');
}

ParsedNumber<int64_t> refuse_whole(std::string_view text, std::string_view body) {
  if (says_not_finite(text)) {
    return refused<int64_t>(NumberFault::not_finite);
  }
  const size_t comma = body.find(',');
  if (comma != std::string_view::npos && all_digits(body.substr(0, comma))) {
    std::string plain(body);
    plain.erase(std::remove(plain.begin(), plain.end(), ','), plain.end());
    return refused<int64_t>(NumberFault::comma, all_digits(plain) ? "write " + plain : "");
  }
  // With a suffix parse_number would come back here.
  if (body.empty() || suffix_zeros(body.back()) > 0 || !parse_number(text)) {
    return refused<int64_t>(NumberFault::not_a_number);
  }
  const bool has_exponent = body.find_first_of("eE") != std::string_view::npos;
  return refused<int64_t>(has_exponent ? NumberFault::exponent : NumberFault::fraction,
                          whole_remedy(text));
}

}  // namespace

ParsedNumber<int64_t> parse_whole_number(std::string_view text) {
  std::string_view body = text;
  std::string_view sign;
  if (!body.empty() && body[0] == '-') {
    sign = body.substr(0, 1);
    body.remove_prefix(1);
  }
  std::string_view digits = body;
  const int zeros = digits.empty() ? 0 : suffix_zeros(digits.back());
  if (zeros > 0) {
    digits.remove_suffix(1);
  }
  std::string_view fraction;
  const size_t point = digits.find('.');
  if (zeros > 0 && point != std::string_view::npos) {
    fraction = digits.substr(point + 1);
    digits = digits.substr(0, point);
    if (!all_digits(fraction)) {
      return refuse_whole(text, body);
    }
  }
  if (!all_digits(digits)) {
    return refuse_whole(text, body);
  }
  if (digits.size() > 1 && digits[0] == '0') {
    const std::string_view plain =
        digits.substr(std::min(digits.find_first_not_of('0'), digits.size() - 1));
    const bool octal = std::all_of(digits.begin(), digits.end(), [](char c) { return c < '8'; });
    uint64_t as_octal = 0;
    if (octal &&
        std::from_chars(plain.data(), plain.data() + plain.size(), as_octal, 8).ec == std::errc() &&
        plain != "0") {
      return refused<int64_t>(NumberFault::leading_zero,
                              fmt::format("write {} or {}", plain, as_octal));
    }
    return refused<int64_t>(NumberFault::leading_zero, fmt::format("write {}", plain));
  }
  if (zeros == 0) {
    return digits_to_int(sign, digits);
  }
  const std::string shifted = shift_point(digits, fraction, zeros);
  return shifted.empty() ? refused<int64_t>(NumberFault::fraction) : digits_to_int(sign, shifted);
}

ParsedNumber<double> parse_number(std::string_view text) {
  if (says_not_finite(text)) {
    return refused<double>(NumberFault::not_finite);
  }
  std::string_view body = text;
  if (!body.empty() && body[0] == '-') {
    body.remove_prefix(1);
  }
  const bool starts_well =
      !body.empty() &&
      (is_digit(body[0]) || (body.size() > 1 && body[0] == '.' && is_digit(body[1])));
  if (!starts_well) {
    return refused<double>(NumberFault::not_a_number);
  }
  if (body.size() > 1 && body[0] == '0' && is_digit(body[1])) {
    return refused<double>(NumberFault::leading_zero);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    // Out of range is said of numbers too small as well; those are zero for every purpose here, but
    // silence would hide a typing error.
    return refused<double>(NumberFault::too_large);
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    const size_t comma = text.find(',');
    if (comma != std::string_view::npos) {
      std::string pointed(text);
      pointed[comma] = '.';
      const bool helps = pointed.find(',') == std::string::npos && parse_number(pointed);
      return refused<double>(NumberFault::comma, helps ? "use a point: " + pointed : "");
    }
    const ParsedNumber<int64_t> whole = suffix_zeros(text.back()) > 0
                                            ? parse_whole_number(text)
                                            : refused<int64_t>(NumberFault::not_a_number);
    if (whole) {
      return {static_cast<double>(whole.value), NumberFault::none, {}};
    }
    return refused<double>(NumberFault::not_a_number);
  }
  return {value, NumberFault::none, {}};
}

ParsedNumber<int64_t> parse_byte_size(std::string_view text) {
  constexpr std::string_view kLetters = "KMGT";
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  std::string_view body = upper;
  if (body.ends_with('B')) {
    body.remove_suffix(1);
  }
  const bool binary = body.size() + 1 == upper.size() && body.ends_with('I');
  if (binary) {
    body.remove_suffix(1);
  }
  const size_t power = body.empty() ? std::string_view::npos : kLetters.find(body.back());
  if (power != std::string_view::npos) {
    body.remove_suffix(1);
  }
  const ParsedNumber<double> number = parse_number(body);
  if (!number || number.value < 0 || (binary && power == std::string_view::npos)) {
    return refused<int64_t>(NumberFault::not_a_number, "write a size as 200MB or 5GB");
  }
  const double unit = power == std::string_view::npos
                          ? 1.0
                          : std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
  const double bytes = number.value * unit;
  if (bytes >= 9.2e18) {
    return refused<int64_t>(NumberFault::too_large);
  }
  return {static_cast<int64_t>(bytes), NumberFault::none, {}};
}

std::string format_count(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string human_count(int64_t count) {
  const double value = static_cast<double>(count);
  for (const auto& [unit, letter] : {std::pair{1e12, 'T'}, {1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}}) {
    if (std::fabs(value) >= unit) {
      const std::string tenths = fmt::format("{:.1f}", value / unit);
      return (tenths.ends_with(".0") ? tenths.substr(0, tenths.size() - 2) : tenths) + letter;
    }
  }
  return fmt::format("{}", count);
}

std::string human_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) {
    return "?";
  }
  const int64_t whole = std::llround(seconds);
  if (whole < 60) {
    return fmt::format("{}s", whole);
  }
  if (whole < 3600) {
    return fmt::format("{}m", (whole + 30) / 60);
  }
  const int64_t minutes = (whole + 30) / 60;
  if (minutes < 48 * 60) {
    return minutes % 60 == 0 ? fmt::format("{}h", minutes / 60)
                             : fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
  }
  const int64_t hours = (whole + 1800) / 3600;
  return hours % 24 == 0 ? fmt::format("{}d", hours / 24)
                         : fmt::format("{}d{}h", hours / 24, hours % 24);
}

std::string format_number(double value) {
  if (!std::isfinite(value)) {
    return std::isnan(value) ? ".nan" : value > 0 ? ".inf" : "-.inf";
  }
  const double size = std::fabs(value);
  if (size == 0 || (size >= 1e-3 && size < 1e15)) {
    std::string text = fmt::format("{}", value);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  std::string text =
      fmt::format("{:e}", value);  // for the exponent; the digits come from the shortest form
  const std::string shortest = fmt::format("{}", value);
  if (shortest.find('e') != std::string::npos) {
    text = shortest;
    const size_t mark = text.find('e');
    if (text.find('.') == std::string::npos) {
      text.insert(mark, ".0");
    }
    return text;
  }
  for (int digits = 1; digits < 17; ++digits) {
    text = fmt::format("{:.{}e}", value, digits);
    if (parse_number(text).value == value) {
      break;
    }
  }
  return text;
}

}  // namespace llm
