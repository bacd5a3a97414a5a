#include "serving/constraint/json_schema.h"

#include <algorithm>

#include "base/error.h"
#include "serving/constraint/schema_compiler.h"

namespace llm {
namespace constraint {
namespace {

constexpr size_t kMaxSchemaDepth = 64;
constexpr size_t kMaxSchemas = 20'000;
constexpr size_t kMaxEnumValues = 10'000;

}  // namespace

SchemaCompiler::SchemaCompiler(GrammarBuilder& builder, JsonParts& json, const Schema& root,
                               std::string place)
    : builder_(builder), json_(json), root_(root), root_place_(std::move(place)) {}

void SchemaCompiler::spend(const std::string& place) {
  if (++spent_ > kMaxSchemas) {
    refuse_schema(fmt::format("more than {} schemas, references followed", kMaxSchemas), place);
  }
}

Expr SchemaCompiler::compile_root() {
  target_rules_.emplace(&root_, builder_.declare(root_place_.empty() ? "#" : root_place_));
  const RuleId rule = target_rules_.at(&root_);
  builder_.define(rule, compile(root_, root_place_));
  while (!pending_.empty()) {
    const Target target = pending_.back();
    pending_.pop_back();
    builder_.define(target_rules_.at(target.schema), compile(*target.schema, target.place));
  }
  return builder_.rule(rule);
}

Expr SchemaCompiler::compile(const Schema& schema, const std::string& place) {
  spend(place);
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) refuse_schema("false allows no value", place);
    return json_.any_value();
  }
  check_keywords(schema, place);
  if (++depth_ > kMaxSchemaDepth) {
    refuse_schema(fmt::format("nesting deeper than {}", kMaxSchemaDepth), place.substr(0, 80));
  }
  const Schema* nullable = find_keyword(schema, "nullable");
  if (nullable != nullptr && !nullable->is_boolean()) {
    refuse_schema("'nullable' must be true or false", place);
  }
  Expr value = compile_keywords(schema, place);
  if (nullable != nullptr && nullable->get<bool>()) {
    value = builder_.choice({value, builder_.literal("null")});
  }
  --depth_;
  return value;
}

Expr SchemaCompiler::compile_keywords(const Schema& schema, const std::string& place) {
  if (find_keyword(schema, "$ref")) return compile_reference(schema, place);
  if (find_keyword(schema, "enum") || find_keyword(schema, "const")) {
    return compile_values(schema, place);
  }
  if (find_keyword(schema, "anyOf")) return compile_any_of(schema, "anyOf", place);
  if (find_keyword(schema, "oneOf")) return compile_any_of(schema, "oneOf", place);
  if (find_keyword(schema, "allOf")) return compile_all_of(schema, place);
  return compile_types(schema, place);
}

Expr SchemaCompiler::compile_reference(const Schema& schema, const std::string& place) {
  refuse_empty_cycles(schema, place, 0);
  const Target target = find_target(schema, place);
  const auto [known, added] = target_rules_.try_emplace(target.schema, 0);
  if (added) {
    known->second = builder_.declare(target.place);
    pending_.push_back(target);
  }
  return builder_.rule(known->second);
}

Expr SchemaCompiler::compile_values(const Schema& schema, const std::string& place) {
  const std::vector<std::string> types = schema_types(schema, place);
  const auto fits = [&](const Schema& value) {
    return types.empty() || std::any_of(types.begin(), types.end(), [&](const std::string& type) {
             return value_has_type(value, type);
           });
  };
  std::vector<const Schema*> values;
  const Schema* constant = find_keyword(schema, "const");
  if (constant != nullptr) values.push_back(constant);
  if (const Schema* list = find_keyword(schema, "enum")) {
    if (!list->is_array()) refuse_schema("'enum' must be a list", place);
    if (list->empty()) refuse_schema("'enum' must hold at least one value", place);
    if (list->size() > kMaxEnumValues) {
      refuse_schema(fmt::format("more than {} values in 'enum'", kMaxEnumValues), place);
    }
    if (constant != nullptr && std::find(list->begin(), list->end(), *constant) == list->end()) {
      refuse_schema("'const' is not in 'enum'", place);
    }
    for (const Schema& value : *list) {
      if (constant == nullptr) values.push_back(&value);
    }
  }
  std::vector<Expr> ways;
  for (const Schema* value : values) {
    if (fits(*value)) ways.push_back(at_place(place, [&] { return json_.value(*value); }));
  }
  if (ways.empty()) refuse_schema("no value of 'enum' or 'const' has the 'type'", place);
  return builder_.choice(std::move(ways));
}

Expr SchemaCompiler::compile_any_of(const Schema& schema, std::string_view keyword,
                                    const std::string& place) {
  const Schema& schemas = read_schemas(schema, keyword, place);
  std::vector<Expr> ways;
  for (size_t i = 0; i < schemas.size(); ++i) {
    ways.push_back(compile(schemas[i], place_at(place_in(place, keyword), i)));
  }
  return builder_.choice(std::move(ways));
}

Expr SchemaCompiler::compile_all_of(const Schema& schema, const std::string& place) {
  const Schema& schemas = read_schemas(schema, "allOf", place);
  const bool alone = !find_keyword(schema, "type") && !find_keyword(schema, "properties") &&
                     !find_keyword(schema, "required") &&
                     !find_keyword(schema, "additionalProperties");
  if (alone && schemas.size() == 1) {
    return compile(schemas[0], place_at(place_in(place, "allOf"), 0));
  }
  merged_.push_back(merge_objects(schema, place));
  return compile_object(merged_.back(), place);
}

Expr SchemaCompiler::compile_types(const Schema& schema, const std::string& place) {
  std::vector<Expr> ways;
  for (const std::string& type : schema_types(schema, place)) {
    ways.push_back(compile_type(schema, type, place));
  }
  return ways.empty() ? json_.any_value() : builder_.choice(std::move(ways));
}

Expr SchemaCompiler::compile_type(const Schema& schema, std::string_view type,
                                  const std::string& place) {
  if (type == "object") return compile_object(schema, place);
  if (type == "array") return compile_array(schema, place);
  if (type == "string") return compile_string(schema, place);
  if (type == "number" || type == "integer") return compile_number(schema, type, place);
  if (type == "null") return builder_.literal("null");
  return builder_.choice({builder_.literal("true"), builder_.literal("false")});
}

Expr schema_part(GrammarBuilder& builder, JsonParts& json, const Schema& schema,
                 const std::string& place) {
  return SchemaCompiler(builder, json, schema, place).compile_root();
}

}  // namespace constraint

std::shared_ptr<const Grammar> schema_grammar(const nlohmann::ordered_json& schema,
                                              JsonSpacing spacing, const GrammarLimits& limits) {
  constraint::GrammarBuilder builder("schema", limits);
  constraint::JsonParts json(builder, spacing);
  const constraint::RuleId root = builder.declare("the schema");
  builder.define(root, constraint::schema_part(builder, json, schema, ""));
  return builder.build(root);
}

std::shared_ptr<const Grammar> json_object_grammar(JsonSpacing spacing,
                                                   const GrammarLimits& limits) {
  constraint::GrammarBuilder builder("json_object", limits);
  constraint::JsonParts json(builder, spacing);
  const constraint::RuleId root = builder.declare("json_object");
  builder.define(root, json.any_object());
  return builder.build(root);
}

}  // namespace llm
