// The JSON schemas of the answers, by route: what /openapi.json says of each 200.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace llm::api {

/// Of a route by its path; null where it answers with no JSON, or with any (/openapi.json).
nlohmann::ordered_json answer_schema(std::string_view path);

}  // namespace llm::api
