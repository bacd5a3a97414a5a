#include "base/config_node.h"
#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

/// JSON as in RFC 8259, by recursive descent, because the positions of keys and values are wanted.
class JsonConfigParser {
 public:
  JsonConfigParser(std::string_view text, const std::string& source_name)
      : text_(text), source_name_(source_name) {}

  ConfigNode parse() {
    ConfigNode root = value(0);
    skip_spaces();
    if (at_ < text_.size()) {
      refuse("unexpected text after the closing bracket");
    }
    return root;
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    fail_in_config(source_name_, line_, column(), "invalid JSON: " + message);
  }

  int column() const { return static_cast<int>(at_ - line_start_) + 1; }
  bool ended() const { return at_ >= text_.size(); }
  char peek() const { return ended() ? '\0' : text_[at_]; }

  void skip_spaces() {
    for (; !ended(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
    }
  }

  ConfigNode value(int depth) {
    skip_spaces();
    if (ended()) {
      refuse("unexpected end");
    }
    if (depth >= kConfigDepth && (peek() == '{' || peek() == '[')) {
      fail_in_config(source_name_, line_, column(),
                     fmt::format("nesting deeper than {}", kConfigDepth));
    }
    ConfigNode node;
    node.line = line_;
    node.column = column();
    if (peek() == '{') {
      node.kind = ConfigNode::map;
      members(node, depth);
    } else if (peek() == '[') {
      node.kind = ConfigNode::list;
      items(node, depth);
    } else if (peek() == '"') {
      node.kind = ConfigNode::text;
      node.content = string();
    } else {
      scalar(node);
    }
    return node;
  }

  void members(ConfigNode& node, int depth) {
    ++at_;
    skip_spaces();
    if (peek() == '}') {
      ++at_;
      return;
    }
    while (true) {
      skip_spaces();
      if (peek() != '"') {
        refuse(peek() == '}' ? "a comma must be followed by another key"
                             : "expected a key in double quotes");
      }
      ConfigNode::Member member;
      member.line = line_;
      member.column = column();
      member.key = string();
      skip_spaces();
      expect(':');
      member.value = value(depth + 1);
      node.members.push_back(std::move(member));
      skip_spaces();
      if (peek() == '}') {
        ++at_;
        return;
      }
      expect(',');
    }
  }

  void items(ConfigNode& node, int depth) {
    ++at_;
    skip_spaces();
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      node.items.push_back(value(depth + 1));
      skip_spaces();
      if (peek() == ']') {
        ++at_;
        return;
      }
      expect(',');
    }
  }

  void expect(char wanted) {
    if (peek() != wanted) {
      refuse(ended() ? "unexpected end" : fmt::format("expected '{}'", wanted));
    }
    ++at_;
  }

  void scalar(ConfigNode& node) {
    const size_t begin = at_;
    while (!ended() && std::string_view(",]} \t\r\n:").find(peek()) == std::string_view::npos) {
      ++at_;
    }
    node.content = std::string(text_.substr(begin, at_ - begin));
    node.kind = node.content == "null" ? ConfigNode::null : ConfigNode::literal;
    if (node.kind == ConfigNode::literal && node.content != "true" && node.content != "false" &&
        !is_number_like(node.content)) {
      at_ = begin;
      refuse(node.content.empty() ? "expected a value"
                                  : fmt::format("'{}' needs double quotes", node.content));
    }
  }

  /// Loose on purpose: what exactly is wrong with 010 or NaN is better said by the key that wants a
  /// number.
  static bool is_number_like(std::string_view word) {
    const bool signless = !word.empty() && (word[0] == '-' || word[0] == '+' || word[0] == '.');
    const std::string_view rest = word.substr(signless ? 1 : 0);
    return (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') || rest == "NaN" || rest == "nan" ||
           rest == "Infinity" || rest == "inf";
  }

  std::string string() {
    expect('"');
    std::string out;
    while (true) {
      if (ended() || peek() == '\n') {
        refuse("a text is not closed");
      }
      const char c = text_[at_++];
      if (c == '"') {
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) {
        refuse("a control character inside a text must be escaped");
      }
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
  }

  void escape(std::string& out) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = peek();
    ++at_;
    const size_t known = kLetters.find(letter);
    if (letter != '\0' && known != std::string_view::npos) {
      out += kMeanings[known];
    } else if (letter == 'u') {
      utf8::append(out, code_point());
    } else {
      refuse(fmt::format("unknown escape '\\{}'", letter));
    }
  }

  uint32_t code_point() {
    const uint32_t first = four_digits();
    const bool leads = first >= 0xD800 && first < 0xDC00;
    if (!leads) {
      return first;  // a lone second half becomes U+FFFD
    }
    if (text_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      const uint32_t second = four_digits();
      if (second >= 0xDC00 && second < 0xE000) {
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
      }
    }
    refuse("half of a surrogate pair");
  }

  uint32_t four_digits() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      const char c = peek();
      const size_t digit = kHex.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (digit == std::string_view::npos) {
        refuse("\\u needs four hexadecimal digits");
      }
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    return value;
  }

  std::string_view text_;
  const std::string& source_name_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
};

}  // namespace

ConfigNode parse_json_config(std::string_view text, const std::string& source_name) {
  return JsonConfigParser(text, source_name).parse();
}

}  // namespace llm
