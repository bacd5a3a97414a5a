#include "serving/constraint/json_parts.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "serving/constraint/number_range.h"

namespace llm::constraint {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostValueDepth = 64;
const CodeSet kMustBeEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};

Expr separator(GrammarBuilder& builder, std::string_view sign, JsonSpacing spacing) {
  const std::string spaced = std::string(sign) + " ";
  if (spacing == JsonSpacing::compact) return builder.literal(sign);
  if (spacing == JsonSpacing::spaced) return builder.literal(spaced);
  return builder.choice({builder.literal(sign), builder.literal(spaced)});
}

void write_value(const ordered_json& value, std::string_view space, std::string& out,
                 size_t depth = 0) {
  check(depth <= kMostValueDepth, "a value nested deeper than {}", kMostValueDepth);
  const auto scalar = [](const ordered_json& leaf) {
    return leaf.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  };
  if (value.is_array()) {
    out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out.append(",").append(space);
      write_value(value[i], space, out, depth + 1);
    }
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.items()) {
      if (!first) out.append(",").append(space);
      first = false;
      out.append(scalar(key)).append(":").append(space);
      write_value(member, space, out, depth + 1);
    }
    out += '}';
  } else {
    out += scalar(value);
  }
}

CodeSet in_both(const CodeSet& a, const CodeSet& b) {
  CodeSet outside = complement(a);
  const CodeSet more = complement(b);
  outside.insert(outside.end(), more.begin(), more.end());
  return complement(outside);
}

std::string escape_of(uint32_t code_point) {
  const std::string text = ordered_json(std::string(1, static_cast<char>(code_point))).dump();
  return text.substr(1, text.size() - 2);
}

}  // namespace

JsonParts::JsonParts(GrammarBuilder& builder, JsonSpacing spacing)
    : builder_(builder),
      spacing_(spacing),
      comma_(separator(builder, ",", spacing)),
      colon_(separator(builder, ":", spacing)) {}

Expr JsonParts::string_character() {
  if (character_) return *character_;
  const auto hex = [&](std::string_view first, uint32_t more) {
    CodeSet set;
    for (const char c : first) set.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c)});
    const CodeSet any{{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
    return builder_.sequence(
        {builder_.characters(set), builder_.repeat(builder_.characters(any), more, more)});
  };
  const Expr low = builder_.sequence(
      {builder_.literal("\\u"), builder_.characters({{'d', 'd'}, {'D', 'D'}}), hex("cdefCDEF", 2)});
  const Expr high =
      builder_.sequence({builder_.characters({{'d', 'd'}, {'D', 'D'}}), hex("89abAB", 2), low});
  const Expr plain = builder_.choice(
      {hex("0123456789abcefABCEF", 3),
       builder_.sequence({builder_.characters({{'d', 'd'}, {'D', 'D'}}), hex("01234567", 2)})});
  CodeSet short_escapes;
  for (const char c : std::string_view("\"\\/bfnrt")) {
    short_escapes.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c)});
  }
  const Expr escape = builder_.sequence(
      {builder_.literal("\\"),
       builder_.choice(
           {builder_.characters(short_escapes),
            builder_.sequence({builder_.literal("u"), builder_.choice({plain, high})})})});
  character_ = builder_.choice({builder_.characters(complement(kMustBeEscaped)), escape});
  return *character_;
}

Expr JsonParts::spelled(const CodeSet& set) {
  std::vector<Expr> ways;
  const CodeSet raw = in_both(set, complement(kMustBeEscaped));
  if (!raw.empty()) ways.push_back(builder_.characters(raw));
  for (const CodeRange& range : in_both(set, kMustBeEscaped)) {
    for (uint32_t c = range.first; c <= range.last; ++c) {
      ways.push_back(builder_.literal(escape_of(c)));
    }
  }
  return builder_.choice(std::move(ways));
}

Expr JsonParts::quoted(Expr characters) {
  return builder_.sequence({builder_.literal("\""), characters, builder_.literal("\"")});
}

Expr JsonParts::string(uint32_t min, uint32_t max) {
  const auto text = [&] { return quoted(builder_.repeat(string_character(), min, max)); };
  if (min > 0 || max != kUnbounded) return text();
  if (!string_) string_ = builder_.as_rule("string", text());
  return *string_;
}

Expr JsonParts::value(const ordered_json& value) {
  std::string compact, spaced;
  write_value(value, "", compact);
  write_value(value, " ", spaced);
  if (spacing_ == JsonSpacing::compact || compact == spaced) return builder_.literal(compact);
  if (spacing_ == JsonSpacing::spaced) return builder_.literal(spaced);
  return builder_.choice({builder_.literal(compact), builder_.literal(spaced)});
}

/// Along a prefix tree of the names: a text that leaves it is another key, one that ends inside it
/// too, unless it ends where a name does.
Expr JsonParts::other_key(const std::vector<std::string>& names) {
  struct Branch {
    std::map<uint32_t, uint32_t> children;
    bool name = false;
    RuleId rule = 0;
  };
  std::vector<Branch> tree(1);
  for (const std::string& name : names) {
    uint32_t at = 0;
    for (size_t i = 0; i < name.size();) {
      const utf8::Character character = utf8::first_character(std::string_view(name).substr(i));
      i += character.length;
      const auto [place, added] =
          tree[at].children.try_emplace(character.code_point, static_cast<uint32_t>(tree.size()));
      at = place->second;
      if (added) tree.emplace_back();
    }
    tree[at].name = true;
  }
  const Expr rest = builder_.repeat(builder_.characters(complement(kMustBeEscaped)), 0);
  for (Branch& branch : tree) branch.rule = builder_.declare("other key");
  for (const Branch& branch : tree) {
    CodeSet taken = kMustBeEscaped;
    std::vector<Expr> ways;
    if (!branch.name) ways.push_back(builder_.literal(""));
    for (const auto& [character, child] : branch.children) {
      const CodeSet one{{character, character}};
      taken.push_back(one[0]);
      if (in_both(one, kMustBeEscaped).empty()) {
        ways.push_back(
            builder_.sequence({builder_.characters(one), builder_.rule(tree[child].rule)}));
      }
    }
    ways.push_back(builder_.sequence({builder_.characters(complement(taken)), rest}));
    builder_.define(branch.rule, builder_.choice(std::move(ways)));
  }
  return quoted(builder_.rule(tree[0].rule));
}

Expr JsonParts::list(Expr item, uint32_t min, uint32_t max) {
  if (max == 0) return builder_.literal("");
  const uint32_t more = max == kUnbounded ? kUnbounded : max - 1;
  const Expr one_or_more = builder_.sequence(
      {item, builder_.repeat(builder_.sequence({comma_, item}), min > 0 ? min - 1 : 0, more)});
  return min > 0 ? one_or_more : builder_.optional(one_or_more);
}

Expr JsonParts::any_number() {
  if (!number_) number_ = builder_.as_rule("number", number_grammar(builder_, {}));
  return *number_;
}

Expr JsonParts::any_integer() {
  if (!integer_) integer_ = builder_.as_rule("integer", integer_grammar(builder_, {}));
  return *integer_;
}

void JsonParts::define_any_value() {
  const RuleId value = builder_.declare("value");
  value_ = builder_.rule(value);
  const Expr member = builder_.sequence({string(0, kUnbounded), colon_, *value_});
  object_ = builder_.as_rule(
      "object", builder_.sequence(
                    {builder_.literal("{"), list(member, 0, kUnbounded), builder_.literal("}")}));
  array_ = builder_.as_rule(
      "array", builder_.sequence(
                   {builder_.literal("["), list(*value_, 0, kUnbounded), builder_.literal("]")}));
  builder_.define(value, builder_.choice({*object_, *array_, string(0, kUnbounded), any_number(),
                                          builder_.literal("true"), builder_.literal("false"),
                                          builder_.literal("null")}));
}

Expr JsonParts::any_value() {
  if (!value_) define_any_value();
  return *value_;
}

Expr JsonParts::any_object() {
  any_value();
  return *object_;
}

Expr JsonParts::any_array() {
  any_value();
  return *array_;
}

}  // namespace llm::constraint
