// The bodies of all POST routes: what they read of them, and so what /openapi.json says of them.
//
// One table for both, so that no field can be read that is not described. docs/serving.md says
// which routes refuse fields that they do not know: those of this program's own making (/generate,
// /predict, /embed); where clients of others send fields of all kinds they are counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/api/served_model.h"
#include "serving/http/json_body.h"

namespace llm::api {

struct RouteBody {
  std::vector<http::Field> fields;    // rows for http::FieldReader
  std::vector<std::string> required;  // all of these
  std::vector<std::string> one_of;    // and at least one of these, where there are any
  bool closed = false;                // other fields are refused
};

/// Of a POST route by its path; nothing of a path that is none. `context` bounds the numbers of
/// tokens; 0 where it is not known.
RouteBody route_body(std::string_view path, int64_t context = 0);

/// What becomes of fields that the route does not know: 400 unknown_field naming the first where
/// its body is closed, else the model's observer is told of each.
void heed_unknown_fields(const ServedModel& model, std::string_view path,
                         const http::FieldReader& body);

}  // namespace llm::api
