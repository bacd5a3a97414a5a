#include "serving/constraint/pattern_reader.h"

#include "base/error.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "serving/constraint/grammar.h"

namespace llm::constraint {
namespace {

constexpr uint64_t kMostRepetitions = 1'000'000'000;

const CodeSet kDigits = {{'0', '9'}};
const CodeSet kWordCharacters = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodeSet kSpaces = {{0x09, 0x0D},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                         {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                         {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodeSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

bool is_one_character(const CodeSet& set) { return set.size() == 1 && set[0].first == set[0].last; }

}  // namespace

void PatternReader::refuse(std::string_view problem, size_t at) const {
  fail(Exit::usage, fmt::format("pattern: {} at offset {}", problem, at));
}

bool PatternReader::take(std::string_view sign) {
  if (!stands(sign)) return false;
  at_ += sign.size();
  return true;
}

bool PatternReader::take_up_to(char sign) {
  const size_t place = text_.find(sign, at_);
  if (place != std::string_view::npos) at_ = place + 1;
  return place != std::string_view::npos;
}

CodeSet PatternReader::read_character() {
  const utf8::Character character = utf8::first_character(text_.substr(at_));
  at_ += character.length;
  return {{character.code_point, character.code_point}};
}

uint32_t PatternReader::read_hex(int digits) {
  uint32_t value = 0;
  const size_t begin = at_;
  for (int i = 0; i < digits; ++i, ++at_) {
    const int digit = hex_value(peek());
    if (digit < 0) refuse(fmt::format("expected {} hexadecimal digits", digits), begin);
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  return value;
}

/// After \u: four digits, a pair of surrogates, or any number in braces.
uint32_t PatternReader::read_code_point(size_t begin) {
  uint32_t value = 0;
  if (take("{")) {
    for (int count = 0; !take("}"); ++count) {
      if (count == 6) refuse("expected '}'", at_);
      value = value << 4 | read_hex(1);
    }
  } else {
    value = read_hex(4);
    if (value >= 0xD800 && value <= 0xDBFF && take("\\u")) {
      const uint32_t low = read_hex(4);
      if (low < 0xDC00 || low > 0xDFFF) refuse("half of a surrogate pair", begin);
      value = 0x10000 + ((value - 0xD800) << 10 | (low - 0xDC00));
    }
  }
  if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF)) {
    refuse(fmt::format("U+{:04X} is not a character", value), begin);
  }
  return value;
}

CodeSet PatternReader::read_escape(bool in_class) {
  const size_t begin = at_++;
  const char c = peek();
  const auto one = [](uint32_t code_point) { return CodeSet{{code_point, code_point}}; };
  if (at_end()) refuse("a backslash at the end", begin);
  ++at_;
  switch (c) {
    case 'd':
      return kDigits;
    case 'D':
      return complement(kDigits);
    case 'w':
      return kWordCharacters;
    case 'W':
      return complement(kWordCharacters);
    case 's':
      return kSpaces;
    case 'S':
      return complement(kSpaces);
    case 't':
      return one('\t');
    case 'n':
      return one('\n');
    case 'r':
      return one('\r');
    case 'f':
      return one('\f');
    case 'v':
      return one('\v');
    case '0':
      if (peek() >= '0' && peek() <= '9') refuse("octal escapes are not supported", begin);
      return one(0);
    case 'x':
      return one(read_hex(2));
    case 'u':
      return one(read_code_point(begin));
    case 'b':
      if (in_class) return one('\b');
      [[fallthrough]];
    case 'B':
      refuse("word boundaries are not supported", begin);
    case 'p':
    case 'P':
      refuse("character properties (\\p) are not supported", begin);
    case 'k':
      refuse("back references are not supported", begin);
    default:
      break;
  }
  if (c >= '1' && c <= '9') refuse("back references are not supported", begin);
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
    refuse(fmt::format("the escape \\{} is not supported", c), begin);
  }
  at_ = begin + 1;
  return read_character();
}

CodeSet PatternReader::read_class() {
  const size_t begin = at_++;
  const bool negated = take("^");
  CodeSet set;
  const auto take_member = [&] { return peek() == '\\' ? read_escape(true) : read_character(); };
  while (peek() != ']') {
    if (at_end()) refuse("a class without ']'", begin);
    const size_t start = at_;
    CodeSet member = take_member();
    if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
      ++at_;
      const CodeSet last = take_member();
      if (!is_one_character(member) || !is_one_character(last) || member[0].first > last[0].first) {
        refuse("a range that is none", start);
      }
      member[0].last = last[0].last;
    }
    set.insert(set.end(), member.begin(), member.end());
  }
  ++at_;
  set = negated ? complement(set) : normalized(set);
  if (set.empty()) refuse("a class that matches nothing", begin);
  return set;
}

bool PatternReader::take_counts(uint32_t& min, uint32_t& max) {
  const size_t begin = at_;
  const auto take_number = [&](uint32_t& result) {
    const size_t start = at_;
    uint64_t number = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      number = number * 10 + static_cast<uint64_t>(peek() - '0');
      if (number > kMostRepetitions) {
        refuse(fmt::format("a repetition of more than {}", kMostRepetitions), start);
      }
    }
    result = static_cast<uint32_t>(number);
    return at_ > start;
  };
  ++at_;
  bool good = take_number(min);
  max = min;
  if (good && take(",") && !take_number(max)) max = kUnbounded;
  good = good && take("}");
  if (!good) at_ = begin;
  return good;
}

CodeSet pattern_dot() { return complement(kLineEnds); }

}  // namespace llm::constraint
