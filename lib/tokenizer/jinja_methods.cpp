// Methods of strings, for jinja_filters.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace llm::jinja {
namespace {

constexpr size_t kLongestFromRight = 256;  // searching from the right is not linear

/// One call of a method: the string, the arguments, and how to make results.
struct Method {
  Interpreter& in;
  const Value& input;
  std::string_view name;
  const Arguments& arguments;

  Heap& heap() const { return in.heap(); }
  const Text& text() const { return *input.text; }
  std::string_view bytes() const { return input.str(); }

  [[noreturn]] void wrong(std::string_view why) const { problem(fmt::format("{}: {}", name, why)); }

  const std::string& text_argument(const Value* value, std::string_view what) const {
    if (!value || !value->is(Kind::text)) wrong(fmt::format("{} must be a string", what));
    return value->str();
  }
  Value part(std::string_view inside) const {
    return inside.size() == bytes().size() ? input : heap().text(text().part(inside));
  }
  Value parts(const std::vector<std::string_view>& pieces, ListForm form = ListForm::list) const {
    heap().take_cells(pieces.size() * 2);
    std::vector<Value> items;
    for (const std::string_view piece : pieces) items.push_back(part(piece));
    return heap().list(std::move(items), form);
  }

  Value strip() const {
    const Value* characters = arguments.bind(name, {"chars"})[0];
    std::optional<std::string_view> dropped;
    if (characters && !characters->is(Kind::none)) {
      dropped = text_argument(characters, "the argument");
      if (dropped->size() > kLongestFromRight) wrong("too many characters to strip");
    }
    return part(jinja::strip(bytes(), dropped, name != "rstrip", name != "lstrip"));
  }

  Value split() const {
    const auto given = arguments.bind(name, {"sep", "maxsplit"});
    const int64_t limit = whole_argument(given[1], -1, name);
    const bool from_right = name == "rsplit";
    if (!given[0] || given[0]->is(Kind::none)) {
      if (from_right && limit >= 0) wrong("a limit needs a separator");
      return parts(split_words(bytes(), limit));
    }
    const std::string& separator = text_argument(given[0], "the separator");
    if (separator.empty()) wrong("the separator is empty");
    if (!from_right || limit < 0) return parts(jinja::split(bytes(), separator, limit));
    return parts(split_from_right(bytes(), right_needle(separator), limit));
  }

  const std::string& right_needle(const std::string& needle) const {
    if (needle.size() > kLongestFromRight) wrong("the text to look for is too long");
    return needle;
  }

  Value partition() const {
    const std::string& separator = text_argument(arguments.bind(name, {"sep"})[0], "the separator");
    if (separator.empty()) wrong("the separator is empty");
    const bool from_right = name == "rpartition";
    const size_t at =
        from_right ? bytes().rfind(right_needle(separator)) : jinja::find(bytes(), separator);
    if (at == std::string_view::npos) {
      const std::string_view all = bytes(), none = all.substr(all.size());
      return from_right ? parts({none, none, all}, ListForm::tuple)
                        : parts({all, none, none}, ListForm::tuple);
    }
    return parts({bytes().substr(0, at), bytes().substr(at, separator.size()),
                  bytes().substr(at + separator.size())},
                 ListForm::tuple);
  }

  /// startswith, endswith: with one string or a tuple of them.
  Value has_end() const {
    const auto given = arguments.bind(name, {"prefix", "start", "end"});
    if (given[1] || given[2]) wrong("start and end are not supported");
    if (!given[0]) wrong("needs a string");
    const bool is_tuple = given[0]->is(Kind::list) && given[0]->list().form == ListForm::tuple;
    const std::vector<Value> one = {*given[0]};
    for (const Value& wanted : is_tuple ? given[0]->list().items : one) {
      const std::string& end = text_argument(&wanted, "the argument");
      if (name == "startswith" ? bytes().starts_with(end) : bytes().ends_with(end)) {
        return Value::of(true);
      }
    }
    return Value::of(false);
  }

  Value search() const {
    const auto given = arguments.bind(name, {"sub", "start", "end"});
    if (given[1] || given[2]) wrong("start and end are not supported");
    const std::string& needle = text_argument(given[0], "the argument");
    if (name == "count") {
      if (needle.empty()) return Value::of(static_cast<int64_t>(character_count(bytes())) + 1);
      int64_t count = 0;
      for (size_t at = jinja::find(bytes(), needle); at != std::string_view::npos;
           at = jinja::find(bytes(), needle, at + needle.size())) {
        ++count;
      }
      return Value::of(count);
    }
    const size_t at =
        name == "rfind" ? bytes().rfind(right_needle(needle)) : jinja::find(bytes(), needle);
    if (at != std::string_view::npos) {
      return Value::of(static_cast<int64_t>(character_count(bytes().substr(0, at))));
    }
    if (name == "index") wrong("the text is not there");
    return Value::of(int64_t{-1});
  }

  Value replace() const {
    const auto given = arguments.bind(name, {"old", "new", "count"});
    const std::string& old = text_argument(given[0], "the text to replace");
    text_argument(given[1], "the new text");
    const size_t most = old.empty() ? bytes().size() + 1 : bytes().size() / old.size();
    if (given[1]->str().size() > old.size()) {
      heap().expect_room(std::min<uint64_t>(occurrences(old, most), most) * given[1]->str().size() +
                         bytes().size());
    }
    return heap().text(
        jinja::replace(text(), old, *given[1]->text, whole_argument(given[2], -1, name)));
  }

  size_t occurrences(const std::string& old, size_t most) const {
    if (old.empty()) return most;
    size_t count = 0;
    for (size_t at = jinja::find(bytes(), old); at != std::string_view::npos;
         at = jinja::find(bytes(), old, at + old.size())) {
      ++count;
    }
    return count;
  }

  Value without_end() const {
    const std::string& end = text_argument(arguments.bind(name, {"text"})[0], "the argument");
    std::string_view rest = bytes();
    if (name == "removeprefix" && rest.starts_with(end)) rest.remove_prefix(end.size());
    if (name == "removesuffix" && rest.ends_with(end)) rest.remove_suffix(end.size());
    return part(rest);
  }

  Value padded() const {
    const auto given = arguments.bind(name, {"width", "fillchar"});
    const int64_t width = whole_argument(given[0], 0, name);
    const std::string fill = name == "zfill" ? "0"
                             : given[1]      ? text_argument(given[1], "fillchar")
                                             : " ";
    if (fill.size() != 1) wrong("fillchar must be one character");
    const int64_t missing = width - static_cast<int64_t>(character_count(bytes()));
    if (missing <= 0) return input;
    heap().expect_room(static_cast<uint64_t>(missing) + bytes().size());
    const std::string padding(static_cast<size_t>(missing), fill[0]);
    Text result;
    size_t sign = 0;
    if (name == "zfill" && !bytes().empty() && (bytes()[0] == '-' || bytes()[0] == '+')) sign = 1;
    result.append(text(), 0, sign);
    if (name != "ljust") result.append(padding);
    result.append(text(), sign, text().size());
    if (name == "ljust") result.append(padding);
    return heap().text(std::move(result));
  }

  Value join() const {
    const Value* items = arguments.bind(name, {"iterable"})[0];
    if (!items) wrong("needs a list");
    Text result;
    bool first = true;
    for (const Value& item : elements(heap(), defined(*items))) {
      if (!item.is(Kind::text)) wrong(fmt::format("an element is {}", type_name(item)));
      if (!std::exchange(first, false)) result.append(text());
      result.append(*item.text);
      heap().step();
      if (result.size() > heap().limits().text_bytes) heap().expect_room(result.size());
    }
    return heap().text(std::move(result));
  }

  /// str.format with {} {0} {name}, without format specifications.
  Value format() const {
    Text result;
    size_t next = 0;
    for (size_t at = 0; at < text().size();) {
      const char c = bytes()[at];
      const bool doubled = (c == '{' || c == '}') && bytes().substr(at + 1).starts_with(c);
      if (doubled || (c != '{' && c != '}')) {
        result.append(text(), at, at + 1);
        at += doubled ? 2 : 1;
        continue;
      }
      const size_t end = bytes().find('}', at);
      if (c == '}' || end == std::string_view::npos) wrong("a single brace");
      const std::string_view field = bytes().substr(at + 1, end - at - 1);
      result.append(text_of(heap(), format_field(field, next)));
      heap().expect_size(result.size());
      at = end + 1;
    }
    return heap().text(std::move(result));
  }

  const Value& format_field(std::string_view field, size_t& next) const {
    if (field.find_first_of(".[!:{") != std::string_view::npos) {
      wrong(fmt::format("the field '{{{}}}' is not supported, only {{}}, {{0}} and {{name}}",
                        field.substr(0, 40)));
    }
    size_t index = 0;
    const bool numbered =
        std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; });
    if (numbered && field.size() < 6) {
      index = field.empty() ? next++ : static_cast<size_t>(std::stoul(std::string(field)));
      if (index < arguments.positional.size()) return arguments.positional[index];
    }
    for (const auto& [known, value] : arguments.named) {
      if (known == field) return value;
    }
    wrong(fmt::format("nothing was given for '{{{}}}'", field.substr(0, 40)));
  }

  Value swapped_case() const {
    Text result;
    for (size_t at = 0; at < text().size();) {
      const size_t size = utf8::first_character(bytes().substr(at)).length;
      const Text one = text().part(at, at + size);
      result.append(with_case(
          one, all_are(one.bytes, CharacterClass::upper) ? LetterCase::lower : LetterCase::upper));
      at += size;
    }
    return heap().text(std::move(result));
  }
};

}  // namespace

Value call_text_method(Interpreter& in, const Value& input, std::string_view name,
                       const Arguments& arguments) {
  const Method method{in, input, name, arguments};
  in.heap().careful_work(input.str().size());
  const auto cased = [&](LetterCase wanted) {
    arguments.bind(name, {});
    return in.heap().text(with_case(*input.text, wanted));
  };
  const auto is_all = [&](CharacterClass wanted) {
    arguments.bind(name, {});
    return Value::of(all_are(input.str(), wanted));
  };
  if (name == "strip" || name == "lstrip" || name == "rstrip") return method.strip();
  if (name == "split" || name == "rsplit") return method.split();
  if (name == "startswith" || name == "endswith") return method.has_end();
  if (name == "replace") return method.replace();
  if (name == "upper") return cased(LetterCase::upper);
  if (name == "lower") return cased(LetterCase::lower);
  if (name == "title") return cased(LetterCase::title);
  if (name == "capitalize") return cased(LetterCase::capitalized);
  if (name == "swapcase") return method.swapped_case();
  if (name == "join") return method.join();
  if (name == "format") return method.format();
  if (name == "splitlines") {
    const Value* keep = arguments.bind(name, {"keepends"})[0];
    return method.parts(split_lines(input.str(), true_argument(keep, false)));
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "count")
    return method.search();
  if (name == "removeprefix" || name == "removesuffix") return method.without_end();
  if (name == "partition" || name == "rpartition") return method.partition();
  if (name == "ljust" || name == "rjust" || name == "zfill") return method.padded();
  if (name == "isspace") return is_all(CharacterClass::space);
  if (name == "isalpha") return is_all(CharacterClass::letter);
  if (name == "isalnum") return is_all(CharacterClass::letter_or_digit);
  if (name == "isupper") return is_all(CharacterClass::upper);
  if (name == "islower") return is_all(CharacterClass::lower);
  return is_all(CharacterClass::digit);
}

}  // namespace llm::jinja
