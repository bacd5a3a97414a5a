#include "serving/http/api/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "serving/http/api/generation_fields.h"

namespace llm::api {
namespace {

using Json = nlohmann::ordered_json;
using http::Field;

Json schema_of(const Field& field) {
  switch (field.kind) {
    case Field::Kind::whole:
      return {{"type", {"integer", "null"}}, {"minimum", field.lo}, {"maximum", field.hi}};
    case Field::Kind::number:
      return {{"type", {"number", "null"}}, {"minimum", field.low}, {"maximum", field.high}};
    case Field::Kind::flag:
      return {{"type", {"boolean", "null"}}};
    case Field::Kind::text:
      return {{"type", {"string", "null"}}};
    case Field::Kind::object:
      return {{"type", {"object", "null"}}};
    case Field::Kind::array:
      return {{"type", {"array", "null"}}};
    case Field::Kind::any:
      break;
  }
  return Json::object();
}

Json prompt_schema() {
  const Json ids = {
      {"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 0}}}, {"minItems", 1}};
  return {{"anyOf",
           {{{"type", "string"}},
            {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1}},
            ids,
            {{"type", "array"}, {"items", ids}, {"minItems", 1}}}}};
}

Json messages_schema() {
  const Json part = {
      {"type", "object"},
      {"required", {"type", "text"}},
      {"properties",
       {{"type", {{"type", "string"}, {"enum", {"text"}}}}, {"text", {{"type", "string"}}}}}};
  const Json content = {
      {"anyOf", {{{"type", {"string", "null"}}}, {{"type", "array"}, {"items", part}}}}};
  return {
      {"type", "array"},
      {"minItems", 1},
      {"items",
       {{"type", "object"},
        {"required", {"role", "content"}},
        {"properties",
         {{"role",
           {{"type", "string"}, {"enum", {"system", "developer", "user", "assistant", "tool"}}}},
          {"content", content}}}}}};
}

/// Properties of a POST body, and the required ones.
std::pair<Json, Json> body_of(const std::string& path) {
  Json properties = Json::object(), required = Json::array();
  const bool generates =
      path == "/v1/completions" || path == "/v1/chat/completions" || path == "/generate";
  if (generates) {
    for (const Field& field : generation_fields(0)) properties[field.name] = schema_of(field);
  }
  if (path == "/v1/completions" || path == "/generate") {
    properties["prompt"] = prompt_schema();
    required.push_back("prompt");
  } else if (path == "/v1/chat/completions" || path == "/apply-template") {
    properties["messages"] = messages_schema();
    required.push_back("messages");
  } else if (path == "/v1/embeddings" || path == "/embed") {
    properties["input"] = prompt_schema();
    required.push_back("input");
  } else if (path == "/tokenize") {
    properties["prompt"] = {{"type", "string"}};
    required.push_back("prompt");
  } else if (path == "/detokenize") {
    properties["tokens"] = {{"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 0}}}};
    required.push_back("tokens");
  } else if (path == "/predict") {
    properties["text"] = {{"type", "string"}};
    properties["top_k"] = {{"type", {"integer", "null"}}, {"minimum", 1}, {"maximum", 20}};
    required.push_back("text");
  } else if (path.ends_with("load_lora_adapter")) {
    required = {"lora_name"};
    if (path == "/v1/load_lora_adapter") required.push_back("lora_path");
    for (const Json& name : required) properties[name.get<std::string>()] = {{"type", "string"}};
  }
  return {std::move(properties), std::move(required)};
}

Json responses(const http::Route& route) {
  const Json error = {{"$ref", "#/components/responses/Error"}};
  Json all = {{"200", {{"description", "The answer"}}}};
  std::vector<const char*> refusals = {"401", "403", "429", "500", "503"};
  if (route.method == "POST") refusals.insert(refusals.end(), {"400", "404", "413", "415"});
  if (route.pattern.find('{') != std::string::npos) refusals.push_back("404");
  for (const char* status : refusals) all[status] = error;
  return all;
}

}  // namespace

Json openapi_document(const std::vector<http::Route>& routes, bool needs_key) {
  Json paths = Json::object();
  for (const http::Route& route : routes) {
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c | 0x20); });
    Json operation = {{"summary", route.summary}, {"responses", responses(route)}};
    if (route.method == "POST") {
      auto [properties, required] = body_of(route.pattern);
      operation["requestBody"] = {
          {"required", true},
          {"content",
           {{"application/json",
             {{"schema",
               {{"type", "object"}, {"properties", properties}, {"required", required}}}}}}}};
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
