#include "serving/constraint/schema_keywords.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "serving/constraint/grammar.h"

namespace llm::constraint {
namespace {

constexpr size_t kMostPlaceBytes = 400;  // further members are left out
constexpr size_t kMostKeyBytes = 64;

enum class Group {
  annotation,
  beside,
  reference,
  values,
  any_of,
  one_of,
  all_of,
  type,
  object,
  array,
  string,
  number
};

struct Keyword {
  std::string_view name;
  Group group;
};

constexpr Keyword kKeywords[] = {
    {"title", Group::annotation},
    {"description", Group::annotation},
    {"default", Group::annotation},
    {"examples", Group::annotation},
    {"example", Group::annotation},
    {"deprecated", Group::annotation},
    {"readOnly", Group::annotation},
    {"writeOnly", Group::annotation},
    {"$schema", Group::annotation},
    {"$id", Group::annotation},
    {"$comment", Group::annotation},
    {"discriminator", Group::annotation},
    {"$defs", Group::annotation},
    {"definitions", Group::annotation},
    {"nullable", Group::beside},
    {"$ref", Group::reference},
    {"enum", Group::values},
    {"const", Group::values},
    {"anyOf", Group::any_of},
    {"oneOf", Group::one_of},
    {"allOf", Group::all_of},
    {"type", Group::type},
    {"properties", Group::object},
    {"required", Group::object},
    {"additionalProperties", Group::object},
    {"items", Group::array},
    {"prefixItems", Group::array},
    {"minItems", Group::array},
    {"maxItems", Group::array},
    {"uniqueItems", Group::array},
    {"minLength", Group::string},
    {"maxLength", Group::string},
    {"pattern", Group::string},
    {"format", Group::string},
    {"minimum", Group::number},
    {"maximum", Group::number},
    {"exclusiveMinimum", Group::number},
    {"exclusiveMaximum", Group::number},
};

constexpr std::array<std::string_view, 7> kTypes = {"object",  "array",   "string", "number",
                                                    "integer", "boolean", "null"};

const Keyword* find_known(std::string_view name) {
  const auto* place = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                   [&](const Keyword& keyword) { return keyword.name == name; });
  return place == std::end(kKeywords) ? nullptr : place;
}

/// Which keywords may stand together. allOf is merged with what stands beside it.
bool may_stand_together(Group a, Group b) {
  const auto of_type = [](Group group) { return group >= Group::type; };
  if (a == b || (of_type(a) && of_type(b))) return true;
  if (a > b) std::swap(a, b);
  if (a == Group::values) return b == Group::type;
  return a == Group::all_of && (b == Group::type || b == Group::object);
}

}  // namespace

void refuse_schema(std::string_view problem, const std::string& place) {
  fail(Exit::usage, fmt::format("{} ({})", problem, place.empty() ? "the top level" : place));
}

std::string place_in(const std::string& place, std::string_view key) {
  if (place.size() > kMostPlaceBytes) return place;
  const std::string_view name = key.substr(0, kMostKeyBytes);
  return place.empty() ? std::string(name) : fmt::format("{}.{}", place, name);
}

std::string place_at(const std::string& place, size_t index) {
  return fmt::format("{}[{}]", place, index);
}

const Schema* find_keyword(const Schema& schema, std::string_view keyword) {
  const auto& members = schema.get_ref<const Schema::object_t&>();
  for (const auto& [name, value] : members) {
    if (name == keyword) return &value;
  }
  return nullptr;
}

void check_keywords(const Schema& schema, const std::string& place) {
  if (!schema.is_object()) refuse_schema("a schema must be an object, true or false", place);
  std::vector<const Keyword*> meaningful;
  for (const auto& [name, value] : schema.items()) {
    const Keyword* keyword = find_known(name);
    if (keyword == nullptr && name.starts_with("x-")) continue;
    if (keyword == nullptr) {
      refuse_schema(fmt::format("'{}' is not supported", name.substr(0, 64)), place);
    }
    if (keyword->group == Group::annotation || keyword->group == Group::beside) continue;
    for (const Keyword* other : meaningful) {
      if (!may_stand_together(keyword->group, other->group)) {
        refuse_schema(fmt::format("'{}' beside '{}' is not supported", name, other->name), place);
      }
    }
    meaningful.push_back(keyword);
  }
}

std::vector<std::string> schema_types(const Schema& schema, const std::string& place) {
  std::vector<std::string> types;
  const auto add = [&](const Schema& type) {
    const std::string_view name =
        type.is_string() ? std::string_view(type.get_ref<const std::string&>()) : "";
    if (std::find(kTypes.begin(), kTypes.end(), name) == kTypes.end()) {
      refuse_schema(
          fmt::format("{} is not a type",
                      type.dump(-1, ' ', false, Schema::error_handler_t::replace).substr(0, 64)),
          place);
    }
    if (std::find(types.begin(), types.end(), name) == types.end()) types.emplace_back(name);
  };
  if (const Schema* type = find_keyword(schema, "type")) {
    if (type->is_array()) {
      for (const Schema& one : *type) add(one);
      if (types.empty()) refuse_schema("'type' is empty", place);
    } else {
      add(*type);
    }
    return types;
  }
  for (const auto& [name, value] : schema.items()) {
    const Keyword* keyword = find_known(name);
    if (keyword == nullptr || keyword->group < Group::object) continue;
    constexpr std::array<std::string_view, 4> kOfGroup = {"object", "array", "string", "number"};
    const Schema type(
        kOfGroup[static_cast<size_t>(keyword->group) - static_cast<size_t>(Group::object)]);
    add(type);
  }
  return types;
}

uint32_t read_count(const Schema& schema, std::string_view keyword, uint32_t absent,
                    const std::string& place) {
  constexpr double kMostCount = 1e9;
  const Schema* value = find_keyword(schema, keyword);
  if (value == nullptr) return absent;
  const double count = value->is_number() ? value->get<double>() : -1;
  if (!(count >= 0) || count != std::floor(count)) {
    refuse_schema(fmt::format("'{}' must be a whole number from 0", keyword), place);
  }
  if (count <= kMostCount) return static_cast<uint32_t>(count);
  if (absent == 0) refuse_schema(fmt::format("'{}' must be at most 1000000000", keyword), place);
  return kUnbounded;
}

const Schema& read_schemas(const Schema& schema, std::string_view keyword,
                           const std::string& place) {
  const Schema& value = *find_keyword(schema, keyword);
  if (!value.is_array() || value.empty()) {
    refuse_schema(fmt::format("'{}' must be a list of schemas", keyword), place);
  }
  return value;
}

const Schema* read_number(const Schema& schema, std::string_view keyword,
                          const std::string& place) {
  const Schema* value = find_keyword(schema, keyword);
  if (value != nullptr && (!value->is_number() || !std::isfinite(value->get<double>()))) {
    refuse_schema(fmt::format("'{}' must be a number", keyword), place);
  }
  return value;
}

bool value_has_type(const Schema& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (!value.is_number()) return false;
  if (type == "number" || !value.is_number_float()) return true;
  const double number = value.get<double>();
  return number == std::floor(number);
}

}  // namespace llm::constraint
