// The description of all routes in OpenAPI 3.1, from the same tables that read the requests.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "serving/http/router.h"

namespace llm::api {

nlohmann::ordered_json openapi_document(const std::vector<http::Route>& routes, bool needs_key);

}  // namespace llm::api
