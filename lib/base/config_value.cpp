#include "base/config_value.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/nearest_name.h"
#include "base/number_text.h"

namespace llm {
namespace {

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

[[noreturn]] void refuse(const ValuePlace& place, const std::string& problem,
                         const std::string& hint = {}) {
  fail(Exit::usage, fmt::format("{}: {}", place.start(), problem), hint);
}

std::string list_words(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

/// Says what a malformed number is; the wording differs between files and the command line.
[[noreturn]] void refuse_number(const ValuePlace& place, const std::string& text, NumberFault fault,
                                const std::string& remedy, bool whole) {
  switch (fault) {
    case NumberFault::too_large:
      refuse(place, whole ? "value is too large (max 9223372036854775807)"
                          : "value is too large or too small for a number");
    case NumberFault::not_finite:
      if (place.in_file()) {
        fail(Exit::usage, place.start() + " must be finite");
      }
      refuse(place, "must be a finite number");
    case NumberFault::leading_zero:
      refuse(place,
             remedy.empty() ? "leading zero is ambiguous" : "leading zero is ambiguous; " + remedy);
    default:
      break;
  }
  const std::string_view wanted = whole ? "a whole number" : "a number";
  refuse(place,
         place.in_file() ? fmt::format("expected {}, got '{}'", wanted, text)
                         : fmt::format("'{}' is not {}", text, wanted),
         remedy);
}

void check_bounds(const ValuePlace& place, const std::string& text, long double value,
                  const FieldRule& rule, bool whole) {
  const bool too_low = rule.low && (rule.low_excluded ? value <= *rule.low : value < *rule.low);
  const bool too_high = rule.high && value > *rule.high;
  if (!too_low && !too_high) {
    return;
  }
  const std::string shown = whole ? "'" + text + "'" : text;
  if (rule.low && rule.high) {
    const std::string low = bound_text(*rule.low), high = bound_text(*rule.high);
    refuse(place, whole ? fmt::format("{} must be between {} and {}", shown, low, high)
                        : fmt::format("{} is outside {} to {}", shown, low, high));
  }
  refuse(place, too_high ? fmt::format("{} must be at most {}", shown, bound_text(*rule.high))
                : rule.low_excluded
                    ? fmt::format("{} must be more than {}", shown, bound_text(*rule.low))
                    : fmt::format("{} must be at least {}", shown, bound_text(*rule.low)));
}

void read(const std::string& text, const Field& row, const ValuePlace& place, int64_t& out) {
  const ParsedNumber<int64_t> number = parse_whole_number(text);
  if (!number) {
    refuse_number(place, text, number.fault, number.remedy, true);
  }
  check_bounds(place, text, number.value, row.rule(), true);
  out = number.value;
}

void read(const std::string& text, const Field& row, const ValuePlace& place, double& out) {
  const ParsedNumber<double> number = parse_number(text);
  if (!number) {
    refuse_number(place, text, number.fault, number.remedy, false);
  }
  check_bounds(place, text, number.value, row.rule(), false);
  out = number.value;
}

void read(const std::string& text, const Field&, const ValuePlace& place, bool& out) {
  if (text != "true" && text != "false") {
    refuse(place, place.in_file() ? fmt::format("expected true or false, got '{}'", text)
                                  : fmt::format("'{}' is not true or false", text));
  }
  out = text == "true";
}

void read(const std::string& text, const Field& row, const ValuePlace& place, std::string& out) {
  const std::vector<std::string>& choices = row.rule().choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    refuse(place, fmt::format("'{}' is not supported; choose {}", text, list_words(choices)),
           nearest_name_hint(text, choices));
  }
  if (row.rule().accepts && !row.rule().accepts(text)) {
    refuse(place, fmt::format("'{}' is not supported; choose {}", text, row.rule().accepted));
  }
  if (row.rule().not_empty && text.empty()) {
    refuse(place, "must not be empty");
  }
  out = text;
}

/// What a key of this type wants, for "expected ..., got ...".
template <typename T>
std::string_view wanted_kind() {
  if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return "a whole number";
  } else if constexpr (std::is_same_v<T, double>) {
    return "a number";
  } else {
    return "text";
  }
}

template <typename T>
T read_node(const ConfigNode& node, const Field& row, ValuePlace place) {
  place.line = node.line;
  place.column = node.column;
  constexpr bool wants_text = std::is_same_v<T, std::string>;
  const bool fits = node.kind == ConfigNode::word ||
                    node.kind == (wants_text ? ConfigNode::text : ConfigNode::literal);
  if (!fits) {
    const bool is_quoted_number = node.kind == ConfigNode::text && parse_number(node.content);
    refuse(place, fmt::format("expected {}, got {}{}", wanted_kind<T>(), describe(node),
                              is_quoted_number ? " in quotes" : ""));
  }
  T value{};
  read(node.content, row, place, value);
  return value;
}

bool means_empty(const std::string& word, const std::string& when_empty) {
  return word == "auto" || word == "none" || word == "null" || word == when_empty;
}

std::string scalar_text(bool value) { return value ? "true" : "false"; }
std::string scalar_text(int64_t value) { return fmt::format("{}", value); }
std::string scalar_text(double value) { return format_number(value); }
const std::string& scalar_text(const std::string& value) { return value; }

}  // namespace

std::string ValuePlace::start() const {
  return in_file() ? fmt::format("{}:{}:{}: {}", file, line, column, name) : name;
}

void FieldSetter::set_words(const std::vector<std::string>& words) const {
  std::visit(
      [&](auto* target) {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (IsVector<T>::value) {
          T values;
          for (const std::string& word : words) {
            for (const std::string& part : row.verbatim_ ? std::vector{word} : split_commas(word)) {
              typename T::value_type value{};
              read(part, row, place, value);
              values.push_back(std::move(value));
            }
          }
          *target = std::move(values);
        } else if constexpr (IsOptional<T>::value) {
          typename T::value_type value{};
          constexpr bool is_text = std::is_same_v<typename T::value_type, std::string>;
          if (!is_text && means_empty(words.at(0), row.when_empty_)) {
            target->reset();
          } else {
            read(words.at(0), row, place, value);
            *target = std::move(value);
          }
        } else {
          T value{};
          read(words.at(0), row, place, value);
          *target = std::move(value);
        }
      },
      row.value_);
}

void FieldSetter::set_node(const ConfigNode& node) const {
  std::visit(
      [&](auto* target) {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (IsVector<T>::value) {
          if (node.kind != ConfigNode::list) {
            refuse(place, fmt::format("expected a list, got {}", describe(node)), "write [a, b]");
          }
          T values;
          for (const ConfigNode& item : node.items) {
            values.push_back(read_node<typename T::value_type>(item, row, place));
          }
          *target = std::move(values);
        } else if constexpr (IsOptional<T>::value) {
          constexpr bool is_text = std::is_same_v<typename T::value_type, std::string>;
          const bool says_empty =
              !is_text && (node.kind == ConfigNode::word || node.kind == ConfigNode::text) &&
              means_empty(node.content, row.when_empty_);
          if (node.kind == ConfigNode::null || says_empty) {
            target->reset();
          } else {
            *target = read_node<typename T::value_type>(node, row, place);
          }
        } else {
          *target = read_node<T>(node, row, place);
        }
      },
      row.value_);
}

std::vector<std::string> value_words(const FieldValue& value, const std::string& when_empty) {
  return std::visit(
      [&](const auto* target) -> std::vector<std::string> {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (IsVector<T>::value) {
          std::vector<std::string> words;
          for (const auto& item : *target) words.push_back(scalar_text(item));
          return words;
        } else if constexpr (IsOptional<T>::value) {
          return {target->has_value() ? scalar_text(**target) : when_empty};
        } else {
          return {scalar_text(*target)};
        }
      },
      value);
}

std::string value_text(const FieldValue& value, const std::string& when_empty) {
  return fmt::format("{}", fmt::join(value_words(value, when_empty), ","));
}

std::string bound_text(long double bound) {
  if (bound == std::floor(bound) && bound >= -9223372036854775808.0L &&
      bound <= 9223372036854775807.0L) {
    return fmt::format("{}", static_cast<int64_t>(bound));
  }
  return format_number(static_cast<double>(bound));
}

std::string join_key(const std::string& section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string section_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string key_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? path : path.substr(dot + 1);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin || end < text.size() || begin > 0) {
      parts.push_back(text.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  return parts;
}

}  // namespace llm
