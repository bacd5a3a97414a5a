// The `format`s of JSON schemas that can be kept, as patterns (pattern.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace llm::constraint {

/// date, time, date-time (RFC 3339 without leap seconds, years 1000 to 9999, only days that exist),
/// uuid, email (unquoted, ASCII), ipv4; nothing for any other.
std::optional<std::string> format_pattern(std::string_view format);

}  // namespace llm::constraint
