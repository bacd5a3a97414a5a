// The JSON schema of a body's field: what its row says (kind, range), and of fields that their
// reader looks into (prompts, messages, tools, stop ...) their form.
//
// A schema never says more than the server keeps: a value that breaks it is refused.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "serving/http/json_body.h"

namespace llm::api {

/// `path` is the route's; a field that is not required may also be null.
nlohmann::ordered_json field_schema(std::string_view path, const http::Field& field, bool required);

}  // namespace llm::api
