#include "serving/constraint/pattern.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "serving/constraint/pattern_reader.h"

namespace llm::constraint {
namespace {

constexpr uint64_t kEndless = UINT32_MAX;
constexpr size_t kMaxPatternBytes = 65'536;

const CodeSet kEveryCharacter = {{0, kLastCodePoint}};

/// A part of a pattern with the number of characters it matches (kEndless: no limit). `once` is set
/// for a class of characters and its repetitions: the class, `min` to `max` times.
struct Piece {
  Expr expr = 0;
  uint64_t min = 0;
  uint64_t max = 0;
  std::optional<Expr> once;
};

uint64_t added(uint64_t a, uint64_t b) { return std::min(a + b, kEndless); }
uint64_t multiplied(uint64_t a, uint64_t b) {
  if (a == 0 || b == 0) return 0;
  return a >= kEndless || b >= kEndless ? kEndless : std::min(a * b, kEndless);
}

class PatternParser {
 public:
  PatternParser(GrammarBuilder& builder, JsonParts& json, std::string_view pattern)
      : builder_(builder), json_(json), text_(pattern), in_(pattern) {}

  Piece parse();

 private:
  Piece of_set(const CodeSet& set);
  Piece joined(const std::vector<Piece>& pieces);
  Piece either(const std::vector<Piece>& ways);
  Piece parse_alternatives();
  Piece parse_sequence(bool outermost);
  Piece parse_part();
  Piece parse_group();
  Piece parse_quantifiers(Piece piece, size_t begin);

  GrammarBuilder& builder_;
  JsonParts& json_;
  std::string_view text_;
  PatternReader in_;
  size_t nesting_ = 0;
};

Piece PatternParser::of_set(const CodeSet& set) {
  const Expr expr = json_.spelled(set);
  return {expr, 1, 1, expr};
}

Piece PatternParser::joined(const std::vector<Piece>& pieces) {
  if (pieces.size() == 1) return pieces[0];
  Piece all;
  std::vector<Expr> parts;
  for (const Piece& piece : pieces) {
    parts.push_back(piece.expr);
    all.min = added(all.min, piece.min);
    all.max = added(all.max, piece.max);
  }
  all.expr = builder_.sequence(std::move(parts));
  return all;
}

Piece PatternParser::either(const std::vector<Piece>& ways) {
  if (ways.size() == 1) return ways[0];
  Piece all{0, kEndless, 0, {}};
  std::vector<Expr> parts;
  for (const Piece& way : ways) {
    parts.push_back(way.expr);
    all.min = std::min(all.min, way.min);
    all.max = std::max(all.max, way.max);
  }
  all.expr = builder_.choice(std::move(parts));
  return all;
}

Piece PatternParser::parse_group() {
  const size_t begin = in_.offset();
  in_.take("(");
  if (++nesting_ > builder_.limits().max_nesting) in_.refuse("nesting too deep", begin);
  if (in_.take("?")) {
    if (in_.stands("=") || in_.stands("!") || in_.stands("<=") || in_.stands("<!")) {
      in_.refuse("look-around is not supported", begin);
    }
    if (in_.take("<")) {
      if (!in_.take_up_to('>')) in_.refuse("a group name without '>'", begin);
    } else if (!in_.take(":")) {
      in_.refuse("this kind of group is not supported", begin);
    }
  }
  const Piece piece = parse_alternatives();
  if (!in_.take(")")) in_.refuse("a group without ')'", begin);
  --nesting_;
  return piece;
}

Piece PatternParser::parse_quantifiers(Piece piece, size_t begin) {
  uint32_t min = 0, max = kUnbounded;
  if (in_.take("+")) {
    min = 1;
  } else if (in_.take("?")) {
    max = 1;
  } else if (!in_.take("*") && !(in_.peek() == '{' && in_.take_counts(min, max))) {
    return piece;
  }
  in_.take("?");  // lazy or not, the same texts
  if (min > max) in_.refuse(fmt::format("at least {} and at most {}", min, max), begin);
  uint32_t ignored;
  if (in_.peek() == '*' || in_.peek() == '+' || in_.peek() == '?' ||
      (in_.peek() == '{' && in_.take_counts(ignored, ignored))) {
    in_.refuse("nothing to repeat", in_.offset());
  }
  const bool single = piece.once && piece.min == 1 && piece.max == 1;
  Piece repeated;
  repeated.expr = builder_.repeat(piece.expr, min, max);
  repeated.min = multiplied(piece.min, min);
  repeated.max = multiplied(piece.max, max);
  if (single) repeated.once = piece.once;
  return repeated;
}

Piece PatternParser::parse_part() {
  const size_t begin = in_.offset();
  const char c = in_.peek();
  if (c == '(') return parse_group();
  if (c == '[') return of_set(in_.read_class());
  if (c == '\\') return of_set(in_.read_escape(false));
  if (c == '.') {
    in_.take(".");
    return of_set(pattern_dot());
  }
  uint32_t ignored;
  if (c == '*' || c == '+' || c == '?' || (c == '{' && in_.take_counts(ignored, ignored))) {
    in_.refuse("nothing to repeat", begin);
  }
  if (c == '^' || c == '$') in_.refuse("an anchor inside the pattern is not supported", begin);
  return of_set(in_.read_character());
}

Piece PatternParser::parse_sequence(bool outermost) {
  const auto anything = [&] {
    const Expr character = json_.spelled(kEveryCharacter);
    return Piece{builder_.repeat(character, 0), 0, kEndless, character};
  };
  std::vector<Piece> pieces;
  if (outermost && !in_.take("^")) pieces.push_back(anything());
  bool anchored_end = false;
  while (!in_.at_end() && in_.peek() != '|' && in_.peek() != ')') {
    if (outermost && in_.stands("$") && (in_.offset() + 1 == text_.size() || in_.peek(1) == '|')) {
      in_.take("$");
      anchored_end = true;
      break;
    }
    const size_t begin = in_.offset();
    pieces.push_back(parse_quantifiers(parse_part(), begin));
  }
  if (outermost && !anchored_end) pieces.push_back(anything());
  if (pieces.empty()) pieces.push_back({builder_.literal(""), 0, 0, {}});
  return joined(pieces);
}

Piece PatternParser::parse_alternatives() {
  const bool outermost = nesting_ == 0;
  std::vector<Piece> ways{parse_sequence(outermost)};
  while (in_.take("|")) ways.push_back(parse_sequence(outermost));
  return either(ways);
}

Piece PatternParser::parse() {
  check(text_.size() <= kMaxPatternBytes, "pattern: longer than {} bytes", kMaxPatternBytes);
  const auto invalid = utf8::first_invalid(text_);
  check(!invalid, "pattern: invalid UTF-8 at byte {}", invalid.value_or(0));
  const Piece piece = parse_alternatives();
  if (!in_.at_end()) in_.refuse("')' without '('", in_.offset());
  return piece;
}

}  // namespace

Expr pattern_grammar(GrammarBuilder& builder, JsonParts& json, std::string_view pattern,
                     PatternLengths lengths) {
  const Piece piece = PatternParser(builder, json, pattern).parse();
  if (piece.min >= lengths.min && piece.max <= lengths.max) return piece.expr;
  if (!piece.once) {
    fail(Exit::usage,
         "minLength and maxLength beside a pattern that does not imply them are not supported");
  }
  const uint64_t min = std::max<uint64_t>(piece.min, lengths.min);
  const uint64_t max = std::min<uint64_t>(piece.max, lengths.max);
  check(min <= max, "pattern: no text of {} to {} characters matches", lengths.min, lengths.max);
  return builder.repeat(*piece.once, static_cast<uint32_t>(min), static_cast<uint32_t>(max));
}

}  // namespace llm::constraint
