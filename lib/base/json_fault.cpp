#include "base/json_fault.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "base/json_builder.h"
#include "base/utf8.h"

namespace llm {
namespace {

/// Counts what a parser has taken.
struct CountedText {
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at;
  size_t* taken;

  const char& operator*() const { return *at; }
  CountedText& operator++() {
    ++at;
    ++*taken;
    return *this;
  }
  CountedText operator++(int) {
    const CountedText before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountedText& other) const { return at == other.at; }
};

/// Where the builder stops the parser, which does not tell it: the text is read again up to there.
size_t stopping_byte(std::string_view text, const JsonCaps& caps) {
  nlohmann::json unused;
  GuardedBuilder<nlohmann::json> builder(unused, caps);
  size_t taken = 0;
  nlohmann::json::sax_parse(CountedText{text.data(), &taken},
                            CountedText{text.data() + text.size(), &taken}, &builder);
  return taken > 0 ? taken - 1 : 0;
}

/// The opening quote of the text whose closing quote is at `end`.
size_t opening_quote(std::string_view text, size_t end) {
  size_t at = end;
  while (at > 0) {
    at = text.rfind('"', at - 1);
    if (at == std::string_view::npos) return end;
    const size_t other = text.substr(0, at).find_last_not_of('\\');
    const size_t slashes = at - (other == std::string_view::npos ? 0 : other + 1);
    if (slashes % 2 == 0) return at;
  }
  return end;
}

JsonFault worded(JsonFault fault, std::string_view text, const JsonCaps& caps) {
  using Kind = JsonFault::Kind;
  if (fault.kind == Kind::syntax) {
    fault.byte = json_fault_byte(fault, text);
    if (json_ends_at(text, fault.byte)) fault = {Kind::unexpected_end, text.size(), {}};
  } else {
    fault.byte = stopping_byte(text, caps);
    if (fault.kind != Kind::depth) fault.byte = opening_quote(text, fault.byte);
  }
  return fault;
}

bool is_json_number(std::string_view text) {
  const auto digits = [&] {
    const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero_first = text.starts_with('0');
  const size_t whole = digits();
  if (whole == 0 || (zero_first && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

/// Number literals that no double can hold, cut down to 1e308 where they stand. Only for a text
/// that parses up to such a number: what stands between quotes is left alone.
std::string with_finite_numbers(std::string_view text) {
  std::string out(text);
  bool quoted = false;
  for (size_t i = 0; i < out.size(); ++i) {
    if (quoted) {
      if (out[i] == '\\') {
        ++i;  // over what it escapes
      } else {
        quoted = out[i] != '"';
      }
    } else if (out[i] == '"') {
      quoted = true;
    } else if (out[i] == '-' || (out[i] >= '0' && out[i] <= '9')) {
      const size_t end = std::min(out.find_first_not_of("+-.eE0123456789", i), out.size());
      if (is_json_number(std::string_view(out).substr(i, end - i)) &&
          std::isinf(std::strtod(&out[i], nullptr))) {
        std::string finite = out[i] == '-' ? "-1e308" : "1e308";  // never longer than what it was
        finite.resize(end - i, ' ');
        out.replace(i, finite.size(), finite);
      }
      i = end - 1;
    }
  }
  return out;
}

}  // namespace

std::optional<JsonFault> read_json(std::string_view text, nlohmann::json& document,
                                   const JsonCaps& caps) {
  if (text.starts_with("\xEF\xBB\xBF")) return JsonFault{JsonFault::Kind::byte_order_mark, 0, {}};
  if (const auto bad = utf8::first_invalid(text)) {
    return JsonFault{JsonFault::Kind::utf8, *bad, {}};
  }
  GuardedBuilder<nlohmann::json> builder(document, caps);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::nullopt;
  if (builder.number_too_large()) {
    const std::string finite = with_finite_numbers(text);
    GuardedBuilder<nlohmann::json> again(document, caps);
    if (nlohmann::json::sax_parse(finite, &again)) return std::nullopt;
    return worded(again.fault(), finite, caps);
  }
  return worded(builder.fault(), text, caps);
}

}  // namespace llm
