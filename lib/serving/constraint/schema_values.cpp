// Arrays, strings and numbers of a schema.
#include <algorithm>

#include "serving/constraint/number_range.h"
#include "serving/constraint/pattern.h"
#include "serving/constraint/schema_compiler.h"
#include "serving/constraint/string_formats.h"

namespace llm::constraint {
namespace {

const Schema& read_prefix(const Schema& schema, const std::string& place) {
  static const Schema kNone = Schema::array();
  const Schema* prefix = find_keyword(schema, "prefixItems");
  if (prefix == nullptr) return kNone;
  if (!prefix->is_array()) refuse_schema("'prefixItems' must be a list of schemas", place);
  return *prefix;
}

}  // namespace

Expr SchemaCompiler::compile_array(const Schema& schema, const std::string& place) {
  const Schema* unique = find_keyword(schema, "uniqueItems");
  if (unique != nullptr && *unique != false) refuse_schema("'uniqueItems' is not supported", place);
  const uint32_t min = read_count(schema, "minItems", 0, place);
  uint32_t max = read_count(schema, "maxItems", kUnbounded, place);
  const Schema& prefix = read_prefix(schema, place);
  const Schema* items = find_keyword(schema, "items");
  if (items != nullptr && items->is_array()) {
    refuse_schema("a list in 'items' is not supported; use 'prefixItems'", place);
  }
  const auto fixed = static_cast<uint32_t>(prefix.size());
  const bool no_more = items != nullptr ? *items == false : fixed > 0 && min <= fixed;
  if (no_more) max = std::min(max, fixed);
  if (min > max)
    refuse_schema(fmt::format("an array of at least {} and at most {}", min, max), place);
  if (fixed == 0 && items == nullptr && min == 0 && max == kUnbounded) return json_.any_array();

  const auto any_item = [&] {
    const Expr item =
        items == nullptr ? json_.any_value() : compile(*items, place_in(place, "items"));
    return builder_.as_rule(place_in(place, "items"), item);
  };
  Expr list;
  if (fixed == 0) {
    list = max == 0 ? builder_.literal("") : json_.list(any_item(), min, max);
  } else {
    list = builder_.literal("");
    if (max > fixed) {
      const uint32_t least = min > fixed ? min - fixed : 0;
      list = builder_.repeat(builder_.sequence({json_.comma(), any_item()}), least,
                             max == kUnbounded ? kUnbounded : max - fixed);
    }
    for (uint32_t i = std::min(fixed, max); i-- > 0;) {
      std::vector<Expr> parts;
      if (i > 0) parts.push_back(json_.comma());
      parts.push_back(compile(prefix[i], place_at(place_in(place, "prefixItems"), i)));
      parts.push_back(list);
      list = builder_.sequence(std::move(parts));
      if (i >= min) list = builder_.optional(list);
      list = builder_.as_rule(place_at(place_in(place, "prefixItems"), i), list);
    }
  }
  return builder_.sequence({builder_.literal("["), list, builder_.literal("]")});
}

Expr SchemaCompiler::compile_string(const Schema& schema, const std::string& place) {
  const uint32_t min = read_count(schema, "minLength", 0, place);
  const uint32_t max = read_count(schema, "maxLength", kUnbounded, place);
  if (min > max) {
    refuse_schema(fmt::format("a string of at least {} and at most {}", min, max), place);
  }
  const Schema* pattern = find_keyword(schema, "pattern");
  const Schema* format = find_keyword(schema, "format");
  if (pattern == nullptr && format == nullptr) return json_.string(min, max);
  const Schema& text = pattern != nullptr ? *pattern : *format;
  if (!text.is_string()) refuse_schema("'pattern' and 'format' must be strings", place);
  if (pattern != nullptr && format != nullptr) {
    refuse_schema("'format' beside 'pattern' is not supported", place);
  }
  std::string expression = text.get<std::string>();
  if (format != nullptr) {
    const auto known = format_pattern(expression);
    if (!known) {
      refuse_schema(fmt::format("format '{}' is not supported", expression.substr(0, 64)), place);
    }
    expression = *known;
  }
  return at_place(place, [&] {
    return json_.quoted(pattern_grammar(builder_, json_, expression, {min, max}));
  });
}

Expr SchemaCompiler::compile_number(const Schema& schema, std::string_view type,
                                    const std::string& place) {
  const NumberBounds bounds{read_number(schema, "minimum", place),
                            read_number(schema, "maximum", place),
                            read_number(schema, "exclusiveMinimum", place),
                            read_number(schema, "exclusiveMaximum", place)};
  if (!bounds.any()) return type == "integer" ? json_.any_integer() : json_.any_number();
  return at_place(place, [&] {
    return type == "integer" ? integer_grammar(builder_, bounds) : number_grammar(builder_, bounds);
  });
}

}  // namespace llm::constraint
