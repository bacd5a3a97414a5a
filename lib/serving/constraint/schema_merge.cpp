// allOf: several object schemas that hold at once become one.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "serving/constraint/schema_compiler.h"

namespace llm::constraint {
namespace {

constexpr size_t kMaxAllOfDepth = 64;
constexpr size_t kMaxParts = 100;

bool closes(const Schema& part) {
  const Schema* more = find_keyword(part, "additionalProperties");
  return more != nullptr && more->is_boolean() && !more->get<bool>();
}

/// The properties of all parts in their order, each name once.
class MergedProperties {
 public:
  /// One that is there already has to satisfy both.
  void add(const std::string& name, const Schema& schema) {
    const auto [place, added] = index_.try_emplace(name, properties_.size());
    if (added) {
      properties_.push_back({name, schema});
    } else if (Schema& known = properties_[place->second].second; known != schema) {
      known = {{"allOf", Schema::array({known, schema})}};
    }
  }

  /// The first name that the part does not have, or "".
  std::string missing_in(const Schema& part) const {
    std::unordered_set<std::string> names;
    if (const Schema* properties = find_keyword(part, "properties")) {
      for (const auto& [name, schema] : properties->items()) names.insert(name);
    }
    for (const auto& [name, schema] : properties_) {
      if (!names.contains(name)) return name;
    }
    return "";
  }

  Schema take() {
    Schema object = Schema::object();
    auto& members = object.get_ref<Schema::object_t&>();
    for (auto& property : properties_) {
      members.Schema::object_t::Container::emplace_back(property.first, std::move(property.second));
    }
    return object;
  }

 private:
  std::vector<std::pair<std::string, Schema>> properties_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace

/// The object schemas that `schema` consists of: its own keywords, and the parts of its allOf.
void SchemaCompiler::collect_parts(const Schema& schema, const std::string& place, size_t depth,
                                   std::vector<Target>& parts) {
  spend(place);
  if (depth > kMaxAllOfDepth) refuse_schema("allOf nested too deep", place);
  if (!schema.is_object()) refuse_schema("allOf is supported for object schemas only", place);
  check_keywords(schema, place);
  if (find_keyword(schema, "$ref")) {
    const Target target = find_target(schema, place);
    collect_parts(*target.schema, target.place, depth + 1, parts);
    return;
  }
  const std::vector<std::string> types = schema_types(schema, place);
  const bool merges = types.empty() ? find_keyword(schema, "allOf") != nullptr
                                    : types == std::vector<std::string>{"object"};
  if (!merges || find_keyword(schema, "nullable") || find_keyword(schema, "enum") ||
      find_keyword(schema, "const")) {
    refuse_schema("allOf is supported for object schemas only", place);
  }
  const Schema* properties = find_keyword(schema, "properties");
  const Schema* required = find_keyword(schema, "required");
  if ((properties && !properties->is_object()) || (required && !required->is_array())) {
    refuse_schema("'properties' must be an object, 'required' a list", place);
  }
  const Schema* more = find_keyword(schema, "additionalProperties");
  if (more != nullptr && !more->is_boolean()) {
    refuse_schema("a schema of 'additionalProperties' in allOf is not supported", place);
  }
  const bool known = std::any_of(parts.begin(), parts.end(),
                                 [&](const Target& part) { return part.schema == &schema; });
  if (known) return;
  if (parts.size() == kMaxParts) {
    refuse_schema(fmt::format("allOf of more than {} schemas", kMaxParts), place);
  }
  parts.push_back({&schema, place});
  if (find_keyword(schema, "allOf") == nullptr) return;
  const Schema& schemas = read_schemas(schema, "allOf", place);
  for (size_t i = 0; i < schemas.size(); ++i) {
    collect_parts(schemas[i], place_at(place_in(place, "allOf"), i), depth + 1, parts);
  }
}

Schema SchemaCompiler::merge_objects(const Schema& schema, const std::string& place) {
  refuse_empty_cycles(schema, place, 0);
  std::vector<Target> parts;
  collect_parts(schema, place, 0, parts);
  MergedProperties properties;
  Schema required = Schema::array();
  bool open = true, says_open = false;
  for (const Target& part : parts) {
    if (const Schema* more = find_keyword(*part.schema, "properties")) {
      for (const auto& [name, value] : more->items()) {
        spend(part.place);
        properties.add(name, value);
      }
    }
    if (const Schema* more = find_keyword(*part.schema, "required")) {
      required.insert(required.end(), more->begin(), more->end());
    }
    open = open && !closes(*part.schema);
    says_open = says_open || find_keyword(*part.schema, "additionalProperties") != nullptr;
  }
  for (const Target& part : parts) {
    const std::string missing = closes(*part.schema) ? properties.missing_in(*part.schema) : "";
    if (!missing.empty()) {
      refuse_schema(fmt::format("'additionalProperties': false in allOf forbids '{}'", missing),
                    part.place);
    }
  }
  Schema merged = {{"type", "object"}};
  merged["properties"] = properties.take();
  merged["required"] = std::move(required);
  if (says_open) merged["additionalProperties"] = open;
  return merged;
}

}  // namespace llm::constraint
