#include "serving/http/api/field_schemas.h"

#include <nlohmann/json.hpp>

#include "serving/http/api/pace_completions.h"

namespace llm::api {
namespace {

using Json = nlohmann::ordered_json;
using http::Field;

Json row_schema(const Field& field) {
  switch (field.kind) {
    case Field::Kind::whole:
      return {{"type", "integer"}, {"minimum", field.lo}, {"maximum", field.hi}};
    case Field::Kind::number:
      return {{"type", "number"}, {"minimum", field.low}, {"maximum", field.high}};
    case Field::Kind::flag:
      return {{"type", "boolean"}};
    case Field::Kind::text:
      return {{"type", "string"}};
    case Field::Kind::object:
      return {{"type", "object"}};
    case Field::Kind::array:
      return {{"type", "array"}};
    case Field::Kind::any:
      break;
  }
  return Json::object();
}

Json prompt_schema() {
  return Json::parse(R"({"anyOf": [
      {"type": "string"},
      {"type": "array", "minItems": 1, "items": {"type": "string"}},
      {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0},
       "description": "Token ids"},
      {"type": "array", "minItems": 1,
       "description": "Rows of token ids; padding may stand before a row, not behind it",
       "items": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}}]})");
}

Json messages_schema() {
  return Json::parse(R"({"type": "array", "minItems": 1, "items": {
      "type": "object",
      "required": ["role"],
      "anyOf": [
        {"required": ["content"], "properties": {"content": {"type": ["string", "array"]}}},
        {"required": ["content"], "properties": {"role": {"const": "assistant"}}},
        {"required": ["tool_calls"], "properties": {"role": {"const": "assistant"}}}],
      "properties": {
        "role": {"type": "string",
                 "enum": ["system", "developer", "user", "assistant", "tool", "function"]},
        "content": {"anyOf": [
          {"type": ["string", "null"]},
          {"type": "array", "items": {
            "type": "object",
            "required": ["type", "text"],
            "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]},
        "name": {}, "tool_calls": {}, "tool_call_id": {}}}})");
}

Json tools_schema() {
  return Json::parse(R"({"type": "array", "maxItems": 128, "items": {
      "type": "object",
      "required": ["function"],
      "properties": {
        "type": {"enum": ["function", null]},
        "function": {
          "type": "object",
          "required": ["name"],
          "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
            "description": {},
            "parameters": {"type": ["object", "null"]}}}}}})");
}

Json tool_choice_schema() {
  return Json::parse(R"({"anyOf": [
      {"enum": ["none", "auto", "required"]},
      {"type": "object",
       "required": ["function"],
       "properties": {
         "type": {},
         "function": {"type": "object", "required": ["name"],
                      "properties": {"name": {"type": "string"}}}}}]})");
}

Json stop_schema() {
  return Json::parse(R"({"anyOf": [
      {"type": "string", "minLength": 1},
      {"type": "array", "maxItems": 4, "items": {"type": "string", "minLength": 1}}]})");
}

Json response_format_schema() {
  return Json::parse(R"({"type": "object", "required": ["type"], "properties": {
      "type": {"type": "string", "enum": ["text", "json_object", "json_schema"]},
      "json_schema": {"type": ["object", "null"],
                      "properties": {"name": {}, "schema": {}, "strict": {}}}}})");
}

Json bias_schema() {
  return Json::parse(R"({"type": "object", "maxProperties": 1024,
      "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}})");
}

Json gen_config_schema() {
  Json properties = Json::object();
  for (const Field& field : pace_fields(0))
    properties[field.name] = field.name.starts_with("stop") ? stop_schema()
                             : field.name == "num_beams"    ? Json{{"type", "null"}}
                                                            : row_schema(field);
  return {{"type", "object"}, {"properties", std::move(properties)}};
}

/// Of the fields that a reader looks into; null for all others.
Json inner_schema(std::string_view path, std::string_view name) {
  if (path != "/tokenize" && (name == "prompt" || name == "inputs" || name == "input"))
    return prompt_schema();
  if (name == "messages") return messages_schema();
  if (name == "tools" && path == "/v1/chat/completions") return tools_schema();
  if (name == "tool_choice") return tool_choice_schema();
  if (name == "stop") return stop_schema();
  if (name == "gen_config") return gen_config_schema();
  if (name == "response_format") return response_format_schema();
  if (name == "logit_bias") return bias_schema();
  if (name == "stream_options")
    return {{"type", "object"},
            {"properties", {{"include_usage", {{"type", {"boolean", "null"}}}}}}};
  if (name == "tokens")
    return {{"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 0}}}};
  if (name == "encoding_format") return {{"enum", {"float", "base64"}}};
  if (name == "mode") return {{"enum", {"ar"}}};
  return nullptr;
}

}  // namespace

nlohmann::ordered_json field_schema(std::string_view path, const Field& field, bool required) {
  Json schema = inner_schema(path, field.name);
  if (schema.is_null()) schema = row_schema(field);
  if (required || schema.empty()) return schema;
  if (schema.contains("anyOf")) {
    schema["anyOf"].push_back({{"type", "null"}});
  } else if (schema.contains("type")) {
    schema["type"] = Json::array({schema["type"], "null"});
  } else {
    schema["enum"].push_back(nullptr);
  }
  return schema;
}

}  // namespace llm::api
