// $ref: JSON pointers into the schema itself, and the cycles that would consume nothing.
#include <algorithm>

#include "base/error.h"
#include "base/hex.h"
#include "serving/constraint/schema_compiler.h"

namespace llm::constraint {
namespace {

constexpr size_t kMaxReferenceDepth = 256;
constexpr size_t kMaxMembersOnTheWay = 10'000;

/// "~1" is '/', "~0" is '~' (RFC 6901); %XX as in the fragment of a URI.
std::string unescape_pointer(std::string_view token) {
  std::string plain;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      plain += token[++i] == '0' ? '~' : '/';
    } else if (token[i] == '%' && i + 2 < token.size() && hex_value(token[i + 1]) >= 0 &&
               hex_value(token[i + 2]) >= 0) {
      plain += static_cast<char>(hex_value(token[i + 1]) * 16 + hex_value(token[i + 2]));
      i += 2;
    } else {
      plain += token[i];
    }
  }
  return plain;
}

const Schema* member_of(const Schema& value, const std::string& token) {
  if (value.is_object()) return find_keyword(value, token);
  if (!value.is_array() || token.empty() || token.size() > 6) return nullptr;
  size_t index = 0;
  for (const char c : token) {
    if (c < '0' || c > '9') return nullptr;
    index = index * 10 + static_cast<size_t>(c - '0');
  }
  return index < value.size() ? &value[index] : nullptr;
}

}  // namespace

SchemaCompiler::Target SchemaCompiler::find_target(const Schema& schema,
                                                   const std::string& place) const {
  const Schema& reference = *find_keyword(schema, "$ref");
  if (!reference.is_string()) refuse_schema("'$ref' must be a string", place);
  const std::string& pointer = reference.get_ref<const std::string&>();
  const auto refuse = [&](std::string_view problem) {
    refuse_schema(fmt::format("$ref '{}' {}", pointer.substr(0, 120), problem), place);
  };
  if (!pointer.starts_with("#")) refuse("does not point into this schema");
  if (pointer.size() > 1 && pointer[1] != '/') refuse("is no path (#/$defs/name)");
  Target target{&root_, root_place_};
  for (size_t begin = 1; begin < pointer.size();) {
    const size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
    const std::string token =
        unescape_pointer(std::string_view(pointer).substr(begin + 1, end - begin - 1));
    if (target.schema->size() > kMaxMembersOnTheWay) refuse("leads through too many members");
    target.schema = member_of(*target.schema, token);
    if (target.schema == nullptr) refuse("points to nothing");
    target.place = place_in(target.place, token);
    begin = end;
  }
  return target;
}

/// Follows what stands for the same value: a circle of it would be no value at all.
void SchemaCompiler::refuse_empty_cycles(const Schema& schema, const std::string& place,
                                         size_t depth) {
  if (!schema.is_object()) return;
  spend(place);
  if (depth > kMaxReferenceDepth) refuse_schema("too many $ref in a row", place);
  if (find_keyword(schema, "$ref")) {
    const Target target = find_target(schema, place);
    const auto [known, added] = followed_.try_emplace(target.schema, false);
    if (!added) {
      if (!known->second) refuse_schema("$ref cycles are not supported", place);
      return;
    }
    refuse_empty_cycles(*target.schema, target.place, depth + 1);
    followed_.at(target.schema) = true;
    return;
  }
  for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
    const Schema* schemas = find_keyword(schema, keyword);
    if (schemas == nullptr || !schemas->is_array()) continue;
    for (size_t i = 0; i < schemas->size(); ++i) {
      refuse_empty_cycles((*schemas)[i], place_at(place_in(place, keyword), i), depth + 1);
    }
  }
}

}  // namespace llm::constraint
