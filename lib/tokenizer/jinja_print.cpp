#include "tokenizer/jinja_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "tokenizer/jinja_operators.h"

namespace llm::jinja {
namespace {

/// Python's str.isprintable for one character, without the unassigned ones.
bool is_printable(uint32_t c) {
  if (c < 0x7F) return c >= 0x20;
  if (c < 0xA1 || c == 0xAD || c == 0x61C || c == 0x6DD || c == 0x70F || c == 0x180E) return false;
  if ((c >= 0x600 && c <= 0x605) || c == 0x1680 || (c >= 0x2000 && c <= 0x200F)) return false;
  if ((c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F) || c == 0x3000) return false;
  if ((c >= 0xE000 && c <= 0xF8FF) || c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB)) return false;
  if ((c & 0xFFFE) == 0xFFFE || c >= 0xE0000) return c >= 0xE0100 && c <= 0xE01EF;
  return true;
}

class Printer {
 public:
  explicit Printer(Heap& heap) : heap_(heap) {}
  Text take() {
    heap_.expect_room(out_.size());
    return std::move(out_);
  }

 protected:
  void put(std::string_view text, bool user) {
    out_.append(text, user);
    if (out_.size() > heap_.limits().text_bytes) heap_.expect_room(out_.size());
  }

  Heap& heap_;
  Text out_;
};

class ReprPrinter : public Printer {
 public:
  using Printer::Printer;

  void print(const Value& value, bool user) {
    heap_.step();
    switch (value.kind) {
      case Kind::none:
        return put("None", user);
      case Kind::boolean:
        return put(value.boolean ? "True" : "False", user);
      case Kind::integer:
        return put(std::to_string(value.integer), user);
      case Kind::real:
        return put(real_text(value.real), user);
      case Kind::text:
        return quoted(*value.text);
      case Kind::list:
        return list(value.list());
      case Kind::dict:
        return dict(value.dict());
      case Kind::undefined:
        return put("Undefined", user);
      default:
        problem(fmt::format("{} cannot be printed", type_name(value)));
    }
  }

 private:
  void quoted(const Text& text) {
    const bool other =
        text.bytes.find('\'') != std::string::npos && text.bytes.find('"') == std::string::npos;
    const char quote = other ? '"' : '\'';
    heap_.careful_work(text.size());
    put(std::string_view(&quote, 1), text.size() > 0 && text.user_at(0));
    for (size_t at = 0; at < text.size();) {
      const utf8::Character next = utf8::first_character(std::string_view(text.bytes).substr(at));
      put(escaped(next, text.bytes.substr(at, next.length), quote), text.user_at(at));
      at += next.length;
    }
    put(std::string_view(&quote, 1), text.size() > 0 && text.user_at(text.size() - 1));
  }

  static std::string escaped(const utf8::Character& character, std::string bytes, char quote) {
    const uint32_t c = character.code_point;
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    if (c == '\\' || c == static_cast<uint32_t>(quote)) return "\\" + bytes;
    if (!character.valid || is_printable(c)) return bytes;
    return c < 0x100     ? fmt::format("\\x{:02x}", c)
           : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                         : fmt::format("\\U{:08x}", c);
  }

  void list(const List& list) {
    if (list.form == ListForm::generator)
      problem("a generator cannot be printed; put |list before it");
    if (list.form == ListForm::range) {
      const int64_t step =
          list.items.size() > 1 ? list.items[1].integer - list.items[0].integer : 1;
      const int64_t begin = list.items.empty() ? 0 : list.items[0].integer;
      const int64_t end = list.items.empty() ? 0 : list.items.back().integer + (step > 0 ? 1 : -1);
      return put(step == 1 ? fmt::format("range({}, {})", begin, end)
                           : fmt::format("range({}, {}, {})", begin, end, step),
                 false);
    }
    const bool tuple = list.form == ListForm::tuple;
    put(tuple ? "(" : "[", list.user);
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(", ", list.user);
      print(list.items[i], list.user);
    }
    put(tuple ? list.items.size() == 1 ? ",)" : ")" : "]", list.user);
  }

  void dict(const Dict& dict) {
    put("{", dict.user);
    bool first = true;
    for (const auto& [key, value] : dict.entries) {
      if (!std::exchange(first, false)) put(", ", dict.user);
      print(key, dict.user);
      put(": ", dict.user);
      print(value, dict.user);
    }
    put("}", dict.user);
  }
};

class JsonPrinter : public Printer {
 public:
  JsonPrinter(Heap& heap, const JsonStyle& style) : Printer(heap), style_(style) {}

  void print(const Value& value, bool user) {
    heap_.step();
    switch (value.kind) {
      case Kind::list:
        if (value.list().form == ListForm::list || value.list().form == ListForm::tuple) {
          return list(value.list());
        }
        break;
      case Kind::dict:
        return dict(value.dict());
      case Kind::text:
        return quoted(*value.text);
      case Kind::undefined:
        defined(value);
        break;
      case Kind::none:
      case Kind::boolean:
      case Kind::integer:
      case Kind::real:
        return put(scalar(value), user);
      default:
        break;
    }
    problem(fmt::format("{} cannot be written as JSON", type_name(value)));
  }

 private:
  static std::string scalar(const Value& value) {
    if (value.is(Kind::none)) return "null";
    if (value.is(Kind::boolean)) return value.boolean ? "true" : "false";
    if (value.is(Kind::integer)) return std::to_string(value.integer);
    if (std::isnan(value.real)) return "NaN";
    if (std::isinf(value.real)) return value.real > 0 ? "Infinity" : "-Infinity";
    return real_text(value.real);
  }

  void quoted(const Text& text) {
    heap_.careful_work(text.size());
    put("\"", text.size() > 0 && text.user_at(0));
    for (size_t at = 0; at < text.size();) {
      const utf8::Character next = utf8::first_character(std::string_view(text.bytes).substr(at));
      put(escaped(next.code_point, text.bytes.substr(at, next.length)), text.user_at(at));
      at += next.length;
    }
    put("\"", text.size() > 0 && text.user_at(text.size() - 1));
  }

  std::string escaped(uint32_t c, std::string bytes) const {
    static constexpr std::string_view kBytes = "\"\\\n\r\t\f\b", kNames = "\"\\nrtfb";
    if (const size_t known = c < 0x80 ? kBytes.find(static_cast<char>(c)) : std::string_view::npos;
        known != std::string_view::npos) {
      return std::string("\\") + kNames[known];
    }
    if (c < 0x20 || (style_.ascii && c >= 0x7F && c < 0x10000 && c != 0x7F)) {
      return fmt::format("\\u{:04x}", c);
    }
    if (style_.ascii && c >= 0x10000) {
      return fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
    }
    return bytes;
  }

  void new_line(size_t level, bool user) {
    if (!style_.indent) return;
    put("\n", user);
    for (size_t i = 0; i < level; ++i) {
      out_.append(*style_.indent);
      put("", user);
    }
  }

  void list(const List& list) {
    if (list.items.empty()) return put("[]", list.user);
    put("[", list.user);
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(separator(), list.user);
      new_line(level_, list.user);
      print(list.items[i], list.user);
    }
    new_line(--level_, list.user);
    put("]", list.user);
  }

  void dict(const Dict& dict) {
    if (dict.entries.empty()) return put("{}", dict.user);
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sorted) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return compare(heap_, a->first, b->first) < 0;
      });
    }
    put("{", dict.user);
    ++level_;
    for (const auto* entry : entries) {
      if (entry != entries.front()) put(separator(), dict.user);
      new_line(level_, dict.user);
      key(entry->first, dict.user);
      put(style_.key_separator, dict.user);
      print(entry->second, dict.user);
    }
    new_line(--level_, dict.user);
    put("}", dict.user);
  }

  void key(const Value& key, bool user) {
    if (key.is(Kind::text)) return quoted(*key.text);
    put("\"" + scalar(key) + "\"", user);
  }

  std::string_view separator() const { return style_.item_separator; }

  const JsonStyle& style_;
  size_t level_ = 0;
};

}  // namespace

Text text_of(Heap& heap, const Value& value) {
  if (value.is(Kind::text)) return *value.text;
  if (value.is(Kind::undefined)) return {};
  return repr(heap, value);
}

Value text_value(Heap& heap, const Value& value) {
  return value.is(Kind::text) ? value : heap.text(text_of(heap, value));
}

Text repr(Heap& heap, const Value& value) {
  ReprPrinter printer(heap);
  printer.print(value, false);
  return printer.take();
}

Text json_text(Heap& heap, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(heap, style);
  printer.print(value, false);
  return printer.take();
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string shortest(buffer, end.ptr);  // d.ddde±xx
  const size_t e = shortest.find('e');
  const int exponent = std::stoi(shortest.substr(e + 1));
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", shortest.substr(0, e), exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string text(buffer, fixed.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

}  // namespace llm::jinja
