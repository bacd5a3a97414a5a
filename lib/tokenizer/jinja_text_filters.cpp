// Filters that make strings and numbers, for jinja_filters.h.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {
namespace {

template <LetterCase wanted>
Value cased(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("the filter", {});
  const Text text = text_of(in.heap(), input);
  if (!input.is(Kind::text)) in.heap().careful_work(text.size());
  return in.heap().text(with_case(text, wanted));
}

Value as_string(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("string", {});
  return text_value(in.heap(), input);
}

Value trim(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("trim", {"chars"});
  return call_method(in, text_value(in.heap(), input), "strip", arguments);
}

Value replace(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("replace", {"old", "new", "count"});
  Arguments given = arguments;
  for (Value& value : given.positional) {
    if (!value.is_number() || &value - given.positional.data() < 2)
      value = text_value(in.heap(), value);
  }
  if (!given.positional.empty() && given.positional.back().is(Kind::none))
    given.positional.pop_back();
  return call_method(in, text_value(in.heap(), input), "replace", given);
}

Value escape(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("escape", {});
  const Text text = text_of(in.heap(), input);
  Text result;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t known = std::string_view("&<>'\"").find(text.bytes[at]);
    static constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    if (known == std::string_view::npos) {
      result.append(text, at, at + 1);
    } else {
      result.append(kEntities[known], text.user_at(at));
    }
  }
  return in.heap().text(std::move(result));
}

Value indent(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("indent", {"width", "first", "blank"});
  Text margin;
  if (given[0] && given[0]->is(Kind::text)) {
    margin = *given[0]->text;
  } else {
    const int64_t width = whole_argument(given[0], 4, "indent");
    heap.expect_room(static_cast<uint64_t>(std::max<int64_t>(width, 0)));
    margin.append(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
  }
  const bool first = true_argument(given[1], false), blank = true_argument(given[2], false);
  Text text = text_of(heap, input);
  text.append("\n");  // Jinja's: so that a last newline is a line of its own
  Text result;
  bool is_first = true;
  for (const std::string_view line : split_lines(text.bytes)) {
    heap.step();
    if (!is_first) result.append("\n");
    if (is_first ? first : blank || !line.empty()) result.append(margin);
    is_first = false;
    result.append(text.part(line));
    if (result.size() > heap.limits().text_bytes) heap.expect_room(result.size());
  }
  return heap.text(std::move(result));
}

Value format(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Value form = text_value(in.heap(), input);
  if (arguments.named.empty())
    return formatted(in.heap(), form, in.heap().tuple(arguments.positional));
  if (!arguments.positional.empty()) problem("format takes values or names, not both");
  const Value names = in.heap().dict();
  for (const auto& [name, value] : arguments.named)
    in.heap().set(names.dict(), Value::constant(name), value);
  return formatted(in.heap(), form, names);
}

Value center(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const int64_t width = whole_argument(arguments.bind("center", {"width"})[0], 80, "center");
  const Text text = text_of(heap, input);
  const int64_t missing = width - static_cast<int64_t>(character_count(text.bytes));
  if (missing <= 0) return heap.text(text);
  heap.expect_room(static_cast<uint64_t>(width));
  const int64_t left = missing / 2 + (missing & width & 1);
  Text result(std::string(static_cast<size_t>(left), ' '));
  result.append(text);
  result.append(std::string(static_cast<size_t>(missing - left), ' '));
  return heap.text(std::move(result));
}

Value truncate(Interpreter& in, const Value& input, const Arguments& arguments) {
  Heap& heap = in.heap();
  const auto given = arguments.bind("truncate", {"length", "killwords", "end", "leeway"});
  const auto length =
      static_cast<size_t>(std::max<int64_t>(whole_argument(given[0], 255, "truncate"), 0));
  const auto leeway =
      static_cast<size_t>(std::max<int64_t>(whole_argument(given[3], 5, "truncate"), 0));
  const Text end = given[2] ? text_of(heap, *given[2]) : Text("...");
  const Text text = text_of(heap, input);
  const size_t end_size = character_count(end.bytes);
  if (length < end_size) problem("truncate: the length is shorter than the end");
  if (character_count(text.bytes) <= length + leeway) return heap.text(text);
  size_t cut = byte_offset(text.bytes, length - end_size);
  if (!true_argument(given[1], false)) {
    const size_t space = text.bytes.substr(0, cut).rfind(' ');
    if (space != std::string::npos) cut = space;
  }
  Text result = text.part(0, cut);
  result.append(end);
  return heap.text(std::move(result));
}

Value word_count(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("wordcount", {});
  const Text text = text_of(in.heap(), input);
  int64_t words = 0;
  bool inside = false;  // Jinja counts runs of \w
  for (const char c : text.bytes) {
    const bool letter = (c & 0x80) || (c >= '0' && c <= '9') || (c | 32) == '_' + 32 || c == '_' ||
                        ((c | 32) >= 'a' && (c | 32) <= 'z');
    words += letter && !inside;
    inside = letter;
  }
  return Value::of(words);
}

Value to_json(Interpreter& in, const Value& input, const Arguments& arguments) {
  const auto given =
      arguments.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = true_argument(given[0], false);
  if (given[1] && !given[1]->is(Kind::none)) {
    if (given[1]->is(Kind::text)) {
      style.indent = *given[1]->text;
    } else {
      const int64_t width = whole_argument(given[1], 0, "tojson: indent");
      if (width > 100) problem("tojson: the indent is wider than 100");
      style.indent = Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
    }
    style.item_separator = ",";
  }
  if (given[2] && !given[2]->is(Kind::none)) {
    const std::vector<Value> pair = elements(in.heap(), *given[2]);
    if (pair.size() != 2 || !pair[0].is(Kind::text) || !pair[1].is(Kind::text)) {
      problem("tojson: separators must be two strings");
    }
    style.item_separator = pair[0].str();
    style.key_separator = pair[1].str();
  }
  style.sorted = true_argument(given[3], false);
  return in.heap().text(json_text(in.heap(), input, style));
}

// ---- numbers

std::optional<double> number_in(const Value& input) {
  if (input.is_number()) return input.number();
  if (!input.is(Kind::text)) return std::nullopt;
  std::string text(strip(input.str(), std::nullopt, true, true));
  if (text.starts_with('+')) text.erase(0, 1);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Value to_real(Interpreter&, const Value& input, const Arguments& arguments) {
  const Value* fallback = arguments.bind("float", {"default"})[0];
  defined(input);
  const auto number = number_in(input);
  return number ? Value::of(*number) : fallback ? *fallback : Value::of(0.0);
}

Value to_whole(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("int", {"default", "base"});
  const Value fallback = given[0] ? *given[0] : Value::of(int64_t{0});
  const int64_t base = whole_argument(given[1], 10, "int");
  if (base < 2 || base > 36) problem("int: the base must be from 2 to 36");
  defined(input);
  if (input.is(Kind::boolean) || input.is(Kind::integer)) return Value::of(input.whole());
  if (input.is(Kind::text)) {
    std::string text(strip(input.str(), std::nullopt, true, true));
    if (text.starts_with('+')) text.erase(0, 1);
    if (base == 16 && text.starts_with("0x")) text.erase(0, 2);
    int64_t value = 0;
    const auto result =
        std::from_chars(text.data(), text.data() + text.size(), value, static_cast<int>(base));
    if (result.ec == std::errc() && result.ptr == text.data() + text.size())
      return Value::of(value);
    if (result.ec == std::errc::result_out_of_range) {
      problem("int: the number does not fit 64 bits");
    }
  }
  const auto number = number_in(input);
  if (!number || !std::isfinite(*number)) return fallback;
  if (std::abs(*number) >= 9.2e18) problem("int: the number does not fit 64 bits");
  return Value::of(static_cast<int64_t>(*number));
}

Value absolute(Interpreter&, const Value& input, const Arguments& arguments) {
  arguments.bind("abs", {});
  if (defined(input).is(Kind::real)) return Value::of(std::abs(input.real));
  return negated(input, input.is_number() && input.whole() < 0);
}

Value round(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("round", {"precision", "method"});
  const int64_t precision = whole_argument(given[0], 0, "round");
  const std::string method = given[1] && given[1]->is(Kind::text) ? given[1]->str() : "common";
  if (!defined(input).is_number())
    problem(fmt::format("round needs a number, not {}", type_name(input)));
  if (precision < -15 || precision > 15) problem("round: the precision must be from -15 to 15");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::of(std::ceil(input.number() * scale) / scale);
  if (method == "floor") return Value::of(std::floor(input.number() * scale) / scale);
  if (method != "common") problem("round: the method must be common, ceil or floor");
  if (!input.is(Kind::real) && precision >= 0) return Value::of(input.whole());
  if (precision < 0) return Value::of(std::nearbyint(input.number() * scale) / scale);
  return Value::of(std::stod(fmt::format("{:.{}f}", input.number(), precision)));
}

// ---- anything

Value fallback(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto given = arguments.bind("default", {"default_value", "boolean"});
  const bool missing =
      input.is(Kind::undefined) || (true_argument(given[1], false) && !is_true(input));
  if (!missing) return input;
  return given[0] ? *given[0] : Value::constant("");
}

Value count(Interpreter& in, const Value& input, const Arguments& arguments) {
  arguments.bind("length", {});
  return Value::of(length(in.heap(), input));
}

struct TextFilter {
  std::string_view name;
  Filter filter;
};

constexpr TextFilter kTextFilters[] = {
    {"trim", trim},
    {"tojson", to_json},
    {"length", count},
    {"count", count},
    {"default", fallback},
    {"d", fallback},
    {"upper", cased<LetterCase::upper>},
    {"lower", cased<LetterCase::lower>},
    {"title", cased<LetterCase::words>},
    {"capitalize", cased<LetterCase::capitalized>},
    {"replace", replace},
    {"string", as_string},
    {"safe", as_string},
    {"e", escape},
    {"escape", escape},
    {"forceescape", escape},
    {"indent", indent},
    {"format", format},
    {"center", center},
    {"truncate", truncate},
    {"wordcount", word_count},
    {"int", to_whole},
    {"float", to_real},
    {"abs", absolute},
    {"round", round},
};

}  // namespace

Filter find_text_filter(std::string_view name) {
  const auto* entry = std::find_if(std::begin(kTextFilters), std::end(kTextFilters),
                                   [&](const TextFilter& known) { return known.name == name; });
  return entry == std::end(kTextFilters) ? nullptr : entry->filter;
}

}  // namespace llm::jinja
