#include "serving/constraint/gbnf.h"

#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"
#include "serving/constraint/gbnf_reader.h"
#include "serving/constraint/grammar_builder.h"

namespace llm {
namespace {

using constraint::Expr;
using constraint::GbnfReader;
using constraint::GrammarBuilder;
using constraint::kUnbounded;
using constraint::RuleId;

constexpr size_t kMaxGbnfBytes = size_t{4} << 20;

class GbnfParser {
 public:
  GbnfParser(std::string_view text, const GrammarLimits& limits)
      : text_(text), in_(text), builder_("grammar", limits) {}

  std::shared_ptr<const Grammar> parse();

 private:
  struct NamedRule {
    RuleId id;
    size_t first_use;
    bool defined = false;
  };

  NamedRule& named_rule(std::string_view name, size_t use);
  void parse_rule();
  Expr parse_alternatives(bool newlines);
  Expr parse_sequence(bool newlines);
  Expr parse_part();
  Expr parse_group();
  Expr parse_suffixes(Expr part);
  Expr parse_braces(Expr part);
  std::string_view text_;
  GbnfReader in_;
  size_t nesting_ = 0;
  GrammarBuilder builder_;
  std::unordered_map<std::string_view, NamedRule> rules_;
};

GbnfParser::NamedRule& GbnfParser::named_rule(std::string_view name, size_t use) {
  const auto place = rules_.find(name);
  if (place != rules_.end()) return place->second;
  return rules_.emplace(name, NamedRule{builder_.declare(std::string(name)), use}).first->second;
}

Expr GbnfParser::parse_braces(Expr part) {
  const size_t begin = in_.offset();
  in_.take("{");
  in_.skip_space(false);
  const uint32_t min = in_.read_count();
  uint32_t max = min;
  in_.skip_space(false);
  if (in_.take(",")) {
    in_.skip_space(false);
    max = in_.peek() == '}' ? kUnbounded : in_.read_count();
    in_.skip_space(false);
  }
  if (!in_.take("}")) in_.refuse(in_.offset(), fmt::format("expected '}}', found {}", in_.here()));
  if (min > max) in_.refuse(begin, fmt::format("at least {} and at most {}", min, max));
  return builder_.repeat(part, min, max);
}

Expr GbnfParser::parse_suffixes(Expr part) {
  while (true) {
    const char c = in_.peek();
    if (c == '*' || c == '+' || c == '?') {
      in_.take({&c, 1});
      part = builder_.repeat(part, c == '+' ? 1 : 0, c == '?' ? 1 : kUnbounded);
    } else if (c == '{') {
      part = parse_braces(part);
    } else {
      return part;
    }
  }
}

Expr GbnfParser::parse_group() {
  const size_t begin = in_.offset();
  in_.take("(");
  if (++nesting_ > builder_.limits().max_nesting) {
    in_.refuse(begin, fmt::format("nesting deeper than {}", builder_.limits().max_nesting));
  }
  const Expr group = parse_alternatives(true);
  if (in_.at_end()) in_.refuse(begin, "this group has no closing ')'");
  if (!in_.take(")")) in_.refuse(in_.offset(), fmt::format("expected ')', found {}", in_.here()));
  --nesting_;
  return group;
}

Expr GbnfParser::parse_part() {
  const char c = in_.peek();
  if (c == '"') return builder_.literal(in_.read_text());
  if (c == '[') return builder_.characters(in_.read_class());
  if (c == '(') return parse_group();
  if (c == '<') in_.refuse(in_.offset(), "references to tokens are not supported");
  if (in_.take(".")) return builder_.characters({{0, constraint::kLastCodePoint}});
  const size_t use = in_.offset();
  return builder_.rule(named_rule(in_.read_name(), use).id);
}

Expr GbnfParser::parse_sequence(bool newlines) {
  std::vector<Expr> parts;
  while (true) {
    in_.skip_space(newlines);
    const char c = in_.peek();
    const bool begins = c == '"' || c == '[' || c == '(' || c == '<' || c == '.';
    if (in_.at_end() || !(begins || constraint::is_gbnf_name_character(c))) break;
    const Expr part = parse_part();
    in_.skip_space(newlines);
    parts.push_back(parse_suffixes(part));
  }
  return builder_.sequence(std::move(parts));
}

Expr GbnfParser::parse_alternatives(bool newlines) {
  std::vector<Expr> ways{parse_sequence(newlines)};
  while (in_.take("|")) {
    in_.skip_space(true);
    ways.push_back(parse_sequence(newlines));
  }
  return builder_.choice(std::move(ways));
}

void GbnfParser::parse_rule() {
  const size_t begin = in_.offset();
  const std::string_view name = in_.read_name();
  if (name.empty())
    in_.refuse(in_.offset(), fmt::format("expected the name of a rule, found {}", in_.here()));
  in_.skip_space(false);
  if (!in_.take("::=")) in_.refuse(in_.offset(), fmt::format("expected '::=' after '{}'", name));
  in_.skip_space(true);
  const Expr body = parse_alternatives(false);
  if (!in_.at_line_end()) {
    in_.refuse(in_.offset(),
               fmt::format("expected the end of rule '{}', found {}", name, in_.here()));
  }
  NamedRule& rule = named_rule(name, begin);
  if (rule.defined) in_.refuse(begin, fmt::format("rule '{}' is defined twice", name));
  rule.defined = true;
  builder_.define(rule.id, body);
}

std::shared_ptr<const Grammar> GbnfParser::parse() {
  check(text_.size() <= kMaxGbnfBytes, "{}: longer than {} bytes", builder_.subject(),
        kMaxGbnfBytes);
  const auto invalid = utf8::first_invalid(text_);
  check(!invalid, "{}: invalid UTF-8 at byte {}", builder_.subject(), invalid.value_or(0));
  for (in_.skip_space(true); !in_.at_end(); in_.skip_space(true)) parse_rule();
  size_t first_undefined = text_.size();
  std::string_view undefined;
  for (const auto& [name, rule] : rules_) {
    if (rule.defined || rule.first_use >= first_undefined) continue;
    first_undefined = rule.first_use;
    undefined = name;
  }
  if (!undefined.empty()) {
    in_.refuse(first_undefined, fmt::format("rule '{}' is used but not defined", undefined));
  }
  const auto root = rules_.find("root");
  check(root != rules_.end(), "{}: no rule is called 'root'", builder_.subject());
  return builder_.build(root->second.id);
}

}  // namespace

std::shared_ptr<const Grammar> parse_gbnf(std::string_view text, const GrammarLimits& limits) {
  return GbnfParser(text, limits).parse();
}

}  // namespace llm
