#include "serving/http/api/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "serving/http/api/answer_schemas.h"
#include "serving/http/api/field_schemas.h"
#include "serving/http/api/route_bodies.h"

namespace llm::api {
namespace {

using Json = nlohmann::ordered_json;
using http::Route;

bool streams(const std::string& path) {
  return path == "/v1/completions" || path == "/v1/chat/completions" || path == "/generate";
}

Json body_schema(const std::string& path) {
  const RouteBody body = route_body(path);
  Json properties = Json::object();
  for (const http::Field& field : body.fields) {
    const bool required =
        std::find(body.required.begin(), body.required.end(), field.name) != body.required.end();
    properties[field.name] = field_schema(path, field, required);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!body.required.empty()) schema["required"] = body.required;
  for (const std::string& name : body.one_of)
    schema["anyOf"].push_back({{"required", Json::array({name})}});
  if (body.closed) schema["additionalProperties"] = false;
  return schema;
}

/// What a 200 holds, by media type.
Json answer_content(const std::string& path) {
  Json content = Json::object();
  const Json text = {{"schema", {{"type", "string"}}}};
  if (path == "/metrics") {
    content["text/plain"] = text;
    return content;
  }
  const Json schema = answer_schema(path);
  content["application/json"] = {
      {"schema", schema.is_null() ? Json::object({{"type", "object"}}) : schema}};
  if (streams(path)) content["text/event-stream"] = text;
  if (path == "/") content["text/html"] = text;
  return content;
}

Json responses(const Route& route) {
  const Json error = {{"$ref", "#/components/responses/Error"}};
  Json all = {{"200", {{"description", "The answer"}, {"content", answer_content(route.pattern)}}}};
  std::vector<const char*> refusals = {"401", "403", "429", "500", "503"};
  if (route.method == "POST") refusals.insert(refusals.end(), {"400", "404", "413", "415"});
  if (route.pattern.find('{') != std::string::npos) refusals.push_back("404");
  for (const char* status : refusals) all[status] = error;
  // Not an error to those who ask: the same figures, with the status that balancers look at.
  if (route.pattern.ends_with("/health"))
    all["503"] = {{"description", "It takes no more requests, or the engine hangs"},
                  {"content", answer_content(route.pattern)}};
  return all;
}

}  // namespace

Json openapi_document(const std::vector<http::Route>& routes, bool needs_key) {
  Json paths = Json::object();
  for (const Route& route : routes) {
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c | 0x20); });
    Json operation = {{"summary", route.summary}, {"responses", responses(route)}};
    if (route.method == "POST") {
      operation["requestBody"] = {
          {"required", true},
          {"content", {{"application/json", {{"schema", body_schema(route.pattern)}}}}}};
    }
    if (const size_t open = route.pattern.find('{'); open != std::string::npos)
      operation["parameters"] = Json::array(
          {{{"name", route.pattern.substr(open + 1, route.pattern.find('}') - open - 1)},
            {"in", "path"},
            {"required", true},
            {"schema", {{"type", "string"}}}}});
    if (needs_key && route.scope != http::Scope::open)
      operation["security"] = Json::array({{{"key", Json::array()}}});
    paths[route.pattern][method] = std::move(operation);
  }
  const Json error_schema = {{"type", "object"},
                             {"required", {"error"}},
                             {"properties",
                              {{"error",
                                {{"type", "object"},
                                 {"required", {"message", "type", "param", "code"}},
                                 {"properties",
                                  {{"message", {{"type", "string"}}},
                                   {"type", {{"type", "string"}}},
                                   {"param", {{"type", {"string", "null"}}}},
                                   {"code", {{"type", {"string", "null"}}}}}}}}}}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "llm"}, {"version", program_version()}}},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"responses",
             {{"Error",
               {{"description", "What was wrong"},
                {"content", {{"application/json", {{"schema", error_schema}}}}}}}}}}}};
}

}  // namespace llm::api
