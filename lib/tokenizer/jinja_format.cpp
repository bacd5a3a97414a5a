// The % operator of strings, for jinja_operators.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {
namespace {

/// "%-08.3f" taken apart.
struct Conversion {
  std::string key;
  std::string flags;
  int width = 0, precision = -1;
  char type = 's';
};

int digits(std::string_view text, size_t& at) {
  int value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + (text[at] - '0');
    if (value > 1000) problem("a width in a format is larger than 1000");
  }
  return value;
}

Conversion conversion_at(std::string_view text, size_t& at) {
  Conversion result;
  if (text.substr(at).starts_with('(')) {
    const size_t end = text.find(')', at);
    if (end == std::string_view::npos) problem("a format lacks ')'");
    result.key = text.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  while (at < text.size() && std::string_view("-+ 0#").find(text[at]) != std::string_view::npos) {
    result.flags += text[at++];
  }
  result.width = digits(text, at);
  if (at < text.size() && text[at] == '.') result.precision = digits(text, ++at);
  if (at >= text.size()) problem("a format ends in '%'");
  result.type = text[at++];
  return result;
}

std::string number_in(const Conversion& form, const Value& value) {
  if (!value.is_number()) {
    problem(fmt::format("%{} needs a number, not {}", form.type, type_name(value)));
  }
  const bool real = std::string_view("eEfFgG").find(form.type) != std::string_view::npos;
  if (!real && value.is(Kind::real) && !(std::abs(value.real) < 9e18)) {
    problem("a number in a format is too large");
  }
  const std::string precision = form.precision < 0 ? "" : fmt::format(".{}", form.precision);
  const std::string pattern = fmt::format(
      "%{}{}{}{}{}", form.flags, form.width ? std::to_string(form.width) : "", precision,
      real ? "" : "ll", form.type == 'i' || form.type == 'u' ? 'd' : form.type);
  char buffer[4096];
  const int size =
      real ? std::snprintf(buffer, sizeof buffer, pattern.c_str(), value.number())
           : std::snprintf(buffer, sizeof buffer, pattern.c_str(),
                           value.is(Kind::real) ? static_cast<long long>(value.real)
                                                : static_cast<long long>(value.whole()));
  if (size < 0 || size >= static_cast<int>(sizeof buffer))
    problem("a formatted number is too long");
  return std::string(buffer, static_cast<size_t>(size));
}

Text converted(Heap& heap, const Conversion& form, const Value& value) {
  switch (form.type) {
    case 's':
    case 'r': {
      Text text = form.type == 's' ? text_of(heap, value) : repr(heap, value);
      if (form.precision >= 0) {
        text = text.part(0, byte_offset(text.bytes, static_cast<size_t>(form.precision)));
      }
      const auto size = static_cast<int>(std::min<size_t>(character_count(text.bytes), 2000));
      const std::string padding(static_cast<size_t>(std::max(form.width - size, 0)), ' ');
      Text result;
      if (form.flags.find('-') == std::string::npos) result.append(padding);
      result.append(text);
      if (form.flags.find('-') != std::string::npos) result.append(padding);
      return result;
    }
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return Text(number_in(form, value));
    default:
      problem(fmt::format("the format '%{}' is not supported", form.type));
  }
}

}  // namespace

Value formatted(Heap& heap, const Value& format, const Value& values) {
  const bool many = values.is(Kind::list) && values.list().form == ListForm::tuple;
  const std::vector<Value> one = {values};
  const std::vector<Value>& given = many ? values.list().items : one;
  const Text& text = *format.text;
  const std::string_view bytes = text.bytes;
  Text result;
  size_t next = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t percent = std::min(bytes.find('%', at), bytes.size());
    result.append(text, at, percent);
    if (percent == bytes.size()) break;
    at = percent + 1;
    const Conversion form = conversion_at(bytes, at);
    if (form.type == '%') {
      result.append("%");
      continue;
    }
    if (!form.key.empty()) {
      const Value* found = values.is(Kind::dict) ? values.dict().find(form.key) : nullptr;
      if (!found) problem(fmt::format("a format needs a value named '{}'", form.key));
      result.append(converted(heap, form, *found));
      next = given.size();
    } else {
      if (next >= given.size()) problem("a format has too few values");
      result.append(converted(heap, form, given[next++]));
    }
    heap.step();
    heap.expect_size(result.size());
  }
  if (next < given.size() && !values.is(Kind::dict)) problem("a format has too many values");
  return heap.text(std::move(result));
}

}  // namespace llm::jinja
