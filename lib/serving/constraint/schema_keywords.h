// The keywords of JSON Schema: which are kept, which say nothing about validity, how to read them.
// Pure functions; errors as in json_schema.h.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace llm::constraint {

using Schema = nlohmann::ordered_json;

/// "problem (place)"; the place of the schema itself is "the top level".
[[noreturn]] void refuse_schema(std::string_view problem, const std::string& place);

std::string place_in(const std::string& place, std::string_view key);  // place.key
std::string place_at(const std::string& place, size_t index);          // place[index]

/// The member, or nullptr.
const Schema* find_keyword(const Schema& schema, std::string_view keyword);

/// An object whose keywords are all known, and at most one of the keywords that say what the value
/// is as a whole ($ref; enum or const; anyOf; oneOf; allOf; or keywords of its type).
void check_keywords(const Schema& schema, const std::string& place);

/// Types that the schema asks for, or that its keywords are about; none: any value.
std::vector<std::string> schema_types(const Schema& schema, const std::string& place);

/// A keyword that counts: a whole number from 0 on; what exceeds 10^9 is kUnbounded for a greatest
/// number and refused for a least.
uint32_t read_count(const Schema& schema, std::string_view keyword, uint32_t absent,
                    const std::string& place);

/// An array of schemas, not empty.
const Schema& read_schemas(const Schema& schema, std::string_view keyword,
                           const std::string& place);

/// A JSON number, or nullptr.
const Schema* read_number(const Schema& schema, std::string_view keyword, const std::string& place);

bool value_has_type(const Schema& value, std::string_view type);

/// What `action` throws gets the place.
template <typename Action>
auto at_place(const std::string& place, const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    refuse_schema(error.message(), place);
  }
}

}  // namespace llm::constraint
