#include "serving/constraint/string_formats.h"

namespace llm::constraint {
namespace {

// Months of 31 and 30 days, February; the 29th in years that 4 divides, centuries in those of 400.
const char* const kDate =
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)";
const char* const kTime =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const char* const kUuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const char* const kEmail =
    "[A-Za-z0-9_%+-]{1,32}(?:\\.[A-Za-z0-9_%+-]{1,15}){0,2}"
    "@[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
    "(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?){0,3}\\.[A-Za-z]{2,24}";
const char* const kByte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

std::string whole(const std::string& pattern) { return "^" + pattern + "$"; }

}  // namespace

std::optional<std::string> format_pattern(std::string_view format) {
  if (format == "date") return whole(kDate);
  if (format == "time") return whole(kTime);
  if (format == "date-time") return whole(std::string(kDate) + "T" + kTime);
  if (format == "uuid") return whole(kUuid);
  if (format == "email") return whole(kEmail);
  if (format == "ipv4") return whole(std::string(kByte) + "(?:\\." + kByte + "){3}");
  return std::nullopt;
}

}  // namespace llm::constraint
