#include "data/json_scanner.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kFewMembers = 16;  // up to here a scan of the keys is quicker than a set

class Scanner {
 public:
  Scanner(std::string_view text, std::string_view place) : text_(text), place_(place) {}

  JsonValue scan() {
    JsonValue value;
    read_value(value, 0);
    skip_space();
    if (at_ != text_.size()) {
      refuse(at_);
    }
    return value;
  }

 private:
  [[noreturn]] void refuse(size_t at) const {
    fail(Exit::bad_input, fmt::format("{}: invalid JSON at column {}", place_, at + 1));
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  /// The next character that is not white space; '\0' at the end, which no token begins with.
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void expect(char wanted) {
    if (peek() != wanted) {
      refuse(at_);
    }
    ++at_;
  }

  void read_value(JsonValue& value, int depth) {
    check_input(depth <= kMaxDepth, "{}: nesting deeper than {}", place_, kMaxDepth);
    switch (peek()) {
      case '{':
        read_object(value, depth);
        return;
      case '[':
        read_array(value, depth);
        return;
      case '"':
        value.kind = JsonValue::Kind::string;
        read_string(value.text);
        return;
      case 't':
        read_word(value, "true", JsonValue::Kind::boolean);
        return;
      case 'f':
        read_word(value, "false", JsonValue::Kind::boolean);
        return;
      case 'n':
        read_word(value, "null", JsonValue::Kind::null);
        return;
      default:
        read_number(value);
    }
  }

  void read_word(JsonValue& value, std::string_view word, JsonValue::Kind kind) {
    if (text_.substr(at_, word.size()) != word) {
      refuse(at_);
    }
    at_ += word.size();
    value.kind = kind;
    value.text = word;
  }

  size_t digits() {
    size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      ++at_;
    }
    return at_ - begin;
  }

  bool take_one_of(std::string_view characters) {
    bool there = at_ < text_.size() && characters.find(text_[at_]) != std::string_view::npos;
    at_ += there ? 1 : 0;
    return there;
  }

  void read_number(JsonValue& value) {
    size_t begin = at_;
    take_one_of("-");
    bool leading_zero = at_ < text_.size() && text_[at_] == '0';
    size_t whole = digits();
    bool good = whole == 1 || (whole > 1 && !leading_zero);
    if (good && take_one_of(".")) {
      good = digits() > 0;
    }
    if (good && take_one_of("eE")) {
      take_one_of("+-");
      good = digits() > 0;
    }
    if (!good) {
      refuse(begin);
    }
    value.kind = JsonValue::Kind::number;
    value.text = text_.substr(begin, at_ - begin);
  }

  void read_array(JsonValue& value, int depth) {
    value.kind = JsonValue::Kind::array;
    ++at_;
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      read_value(value.elements.emplace_back(), depth + 1);
      if (peek() != ',') {
        break;
      }
      ++at_;
    }
    expect(']');
  }

  void read_object(JsonValue& value, int depth) {
    value.kind = JsonValue::Kind::object;
    ++at_;
    if (peek() == '}') {
      ++at_;
      return;
    }
    std::unordered_set<std::string> keys;
    while (true) {
      if (peek() != '"') {
        refuse(at_);
      }
      std::string key;
      read_string(key);
      refuse_second(value, keys, key);
      expect(':');
      value.members.push_back({std::move(key), {}});
      read_value(value.members.back().value, depth + 1);
      if (peek() != ',') {
        break;
      }
      ++at_;
    }
    expect('}');
  }

  void refuse_second(const JsonValue& object, std::unordered_set<std::string>& keys,
                     const std::string& key) const {
    const auto& members = object.members;
    bool known = false;
    if (members.size() < kFewMembers) {
      known = std::any_of(members.begin(), members.end(),
                          [&](const auto& member) { return member.name == key; });
    } else {
      if (keys.empty()) {
        for (const auto& member : members) {
          keys.insert(member.name);
        }
      }
      known = !keys.insert(key).second;
    }
    check_input(!known, "{}: key '{}' appears twice", place_, key);
  }

  /// Plain stretches are copied whole; UTF-8 is checked over the raw string, escapes are ASCII
  /// there.
  void read_string(std::string& out) {
    size_t begin = ++at_;
    while (true) {
      size_t plain = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        ++at_;
      }
      out.append(text_, plain, at_ - plain);
      if (at_ == text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20) {
        refuse(at_);
      }
      if (text_[at_++] == '"') {
        break;
      }
      read_escape(out);
    }
    if (auto broken = utf8::first_invalid(text_.substr(begin, at_ - 1 - begin))) {
      fail(Exit::bad_input, fmt::format("{}: invalid UTF-8 at byte {}", place_, begin + *broken));
    }
  }

  void read_escape(std::string& out) {
    size_t begin = at_ - 1;
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    char name = at_ < text_.size() ? text_[at_++] : '\0';
    if (size_t index = kNames.find(name); index != std::string_view::npos) {
      out += kValues[index];
      return;
    }
    if (name != 'u') {
      refuse(begin);
    }
    uint32_t unit = read_hex4(begin);
    if (unit >= 0xD800 && unit < 0xDC00) {
      if (text_.substr(at_, 2) != "\\u") {
        refuse(begin);
      }
      at_ += 2;
      uint32_t low = read_hex4(begin);
      if (low < 0xDC00 || low > 0xDFFF) {
        refuse(begin);
      }
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
      refuse(begin);
    }
    utf8::append(out, unit);
  }

  uint32_t read_hex4(size_t escape) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      char c = at_ < text_.size() ? text_[at_++] : '\0';
      char lower = static_cast<char>(c | 0x20);
      bool digit = c >= '0' && c <= '9';
      if (!digit && (lower < 'a' || lower > 'f')) {
        refuse(escape);
      }
      unit = unit * 16 + static_cast<uint32_t>(digit ? c - '0' : lower - 'a' + 10);
    }
    return unit;
  }

  std::string_view text_;
  std::string_view place_;
  size_t at_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) {
      return value.kind == Kind::null ? nullptr : &value;
    }
  }
  return nullptr;
}

const char* JsonValue::kind_name() const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "a number",
                                           "a string", "a list",    "an object"};
  return kNames[static_cast<int>(kind)];
}

JsonValue scan_json(std::string_view text, std::string_view place) {
  return Scanner(text, place).scan();
}

}  // namespace llm
