// Rewrites Oniguruma's Ruby syntax into PCRE2's where the two disagree.
#include <algorithm>
#include <vector>

#include "base/error.h"
#include "tokenizer/regex.h"

namespace llm {
namespace {

// White_Space, \w and hexadecimal digits, for use inside a set. (PCRE2's \s also takes U+180E, its
// \w leaves out marks; Oniguruma's \w has the six superscripts and fractions of Latin-1.)
constexpr std::string_view kSpaceSet = "\\t-\\r\\x{85}\\p{Z}";
constexpr std::string_view kWordSet =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
constexpr std::string_view kHexSet = "0-9A-Fa-f";

class SyntaxReader {
 public:
  SyntaxReader(std::string_view pattern, std::string_view subject)
      : pattern_(pattern), subject_(subject) {}

  std::string read() {
    while (at_ < pattern_.size()) read_item();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(Exit::bad_input,
         fmt::format("{} pattern is invalid at offset {}: {}", subject_, at_, what));
  }

  bool looking_at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

  void copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += std::min(count, pattern_.size() - at_);
  }

  void read_item() {
    const char c = pattern_[at_];
    if (c == '\\') {
      atom_ = out_.size();
      read_escape(false);
    } else if (c == '[') {
      atom_ = out_.size();
      read_set();
    } else if (c == '(') {
      groups_.push_back(out_.size());
      read_group_start();
    } else if (c == ')') {
      if (!groups_.empty()) {
        atom_ = groups_.back();
        groups_.pop_back();
      }
      copy(1);
    } else if (c == '{') {
      read_interval();
    } else if (c == '*' || c == '+' || c == '?') {
      copy(1);
    } else {
      atom_ = out_.size();
      copy(1);
    }
  }

  /// Ruby's (?m) lets the dot take newlines, which is (?s) here; there is no (?s) in Ruby.
  void read_group_start() {
    copy(1);
    if (!looking_at("?")) return;
    size_t end = at_ + 1;
    while (end < pattern_.size() &&
           std::string_view("imx-").find(pattern_[end]) != std::string_view::npos)
      ++end;
    const bool is_option =
        end < pattern_.size() && end > at_ + 1 && (pattern_[end] == ')' || pattern_[end] == ':');
    if (!is_option) {
      copy(1);
      return;
    }
    for (; at_ < end; ++at_) out_ += pattern_[at_] == 'm' ? 's' : pattern_[at_];
  }

  /// In Ruby "x{1,3}+" repeats the interval; it is not possessive.
  void read_interval() {
    size_t end = at_ + 1;
    while (end < pattern_.size() &&
           ((pattern_[end] >= '0' && pattern_[end] <= '9') || pattern_[end] == ','))
      ++end;
    const bool is_interval = end < pattern_.size() && pattern_[end] == '}' && end > at_ + 1;
    if (!is_interval) {
      atom_ = out_.size();
      copy(1);
      return;
    }
    if (pattern_[at_ + 1] == ',') out_ += "{0", ++at_;  // {,3}
    copy(end + 1 - at_);
    if (!looking_at("+")) return;
    out_.insert(atom_, "(?:");
    out_ += ')';
  }

  void read_escape(bool in_set) {
    if (at_ + 1 >= pattern_.size()) refuse("a backslash at the end");
    const char c = pattern_[at_ + 1];
    const auto set = [&](std::string_view content, bool negated) {
      if (in_set && negated) refuse("a negated class inside a set");
      if (in_set)
        out_ += content;
      else
        out_.append(negated ? "[^" : "[").append(content).append("]");
      at_ += 2;
    };
    switch (c) {
      case 's':
        return set(kSpaceSet, false);
      case 'S':
        if (in_set) {
          out_ += "\\P{Xsp}";  // differs from Ruby's in U+180E only
          at_ += 2;
          return;
        }
        return set(kSpaceSet, true);
      case 'w':
        return set(kWordSet, false);
      case 'W':
        return set(kWordSet, true);
      case 'h':
        return set(kHexSet, false);
      case 'H':
        return set(kHexSet, true);
      case 'p':
      case 'P':
        return read_property();
      default:
        copy(2);
    }
  }

  /// A script name means the script itself, not its extensions.
  void read_property() {
    const size_t end = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || end == std::string_view::npos) {
      copy(2);
      return;
    }
    std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    name = short_name(name);
    static constexpr std::string_view kPlain[] = {
        "L&",         "Any",       "Assigned",  "Emoji", "Extended_Pictographic",
        "Alphabetic", "Uppercase", "Lowercase", "Lu",    "White_Space",
        "Ideographic"};
    const bool is_plain = name.size() <= 2 || name.find_first_of("=:") != std::string_view::npos ||
                          std::find(std::begin(kPlain), std::end(kPlain), name) != std::end(kPlain);
    out_ += fmt::format("\\{}{{{}{}{}}}", pattern_[at_ + 1], negated ? "^" : "",
                        is_plain ? "" : "sc:", name);
    at_ = end + 1;
  }

  /// General categories that Ruby also knows by long names.
  static std::string_view short_name(std::string_view name) {
    static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
        {"Letter", "L"}, {"Mark", "M"},           {"Number", "N"},         {"Punctuation", "P"},
        {"Punct", "P"},  {"Symbol", "S"},         {"Separator", "Z"},      {"Other", "C"},
        {"Digit", "Nd"}, {"Alpha", "Alphabetic"}, {"Space", "White_Space"}};
    for (const auto& [full, brief] : kNames) {
      if (name == full) return brief;
    }
    return name;
  }

  void read_set() {
    copy(1);
    if (looking_at("^")) copy(1);
    if (looking_at("]")) {  // first: itself
      out_ += "\\]";
      ++at_;
    }
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (looking_at("[:")) {
        const size_t end = pattern_.find(":]", at_);
        if (end == std::string_view::npos) refuse("an unfinished set");
        copy(end + 2 - at_);
      } else if (pattern_[at_] == '[') {
        refuse("a set inside a set");
      } else if (looking_at("&&")) {
        refuse("an intersection of sets");
      } else if (pattern_[at_] == '\\') {
        read_escape(true);
      } else {
        copy(1);
      }
    }
    if (at_ >= pattern_.size()) refuse("an unfinished set");
    copy(1);
  }

  std::string_view pattern_, subject_;
  size_t at_ = 0;
  size_t atom_ = 0;  // where the last atom begins in out_
  std::vector<size_t> groups_;
  std::string out_;
};

}  // namespace

std::string oniguruma_to_pcre2(std::string_view pattern, std::string_view subject) {
  return SyntaxReader(pattern, subject).read();
}

}  // namespace llm
