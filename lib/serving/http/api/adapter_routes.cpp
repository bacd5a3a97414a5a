// POST /v1/load_lora_adapter and /v1/unload_lora_adapter, with vLLM's names for the fields.
#include <fmt/format.h>

#include "base/error.h"
#include "serving/http/api/answer_json.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;

void check_allowed(const ServedModel& model) {
  if (!model.adapters().may_load())
    throw HttpError(403, "not_allowed",
                    "adapters are loaded at start only; --adapter-folder DIR allows more");
}

std::string required_name(const http::FieldReader& body) {
  body.require("lora_name");
  return body.text("lora_name", "");
}

}  // namespace

void answer_load_adapter(ServedModel& model, const http::Request& request,
                         const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/v1/load_lora_adapter").fields;
  check_allowed(model);
  const nlohmann::json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/v1/load_lora_adapter", body);
  const std::string name = required_name(body);
  body.require("lora_path");
  if (body.text("lora_path", "").find('\0') != std::string::npos)
    body.refuse("lora_path", "lora_path must not contain NUL");
  if (body.flag("load_inplace", false))
    body.refuse("load_inplace", "load_inplace: unload the adapter first");
  const char* blamed = "lora_name";
  try {
    model.adapters().check_new_name(name);
    blamed = "lora_path";
    model.adapters().load_within(name, body.text("lora_path", ""));
  } catch (const Error& error) {
    throw HttpError(400, "invalid_value", error.message(), blamed);
  }
  reply->send_json(200, dumped({{"status", "success"},
                                {"message", fmt::format("adapter '{}' is loaded", name)}}));
}

void answer_unload_adapter(ServedModel& model, const http::Request& request,
                           const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/v1/unload_lora_adapter").fields;
  check_allowed(model);
  const nlohmann::json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/v1/unload_lora_adapter", body);
  const std::string name = required_name(body);
  if (!model.adapters().unload(name))
    throw HttpError(404, "model_not_found", fmt::format("adapter '{}' is not loaded", name),
                    "lora_name");
  reply->send_json(200, dumped({{"status", "success"},
                                {"message", fmt::format("adapter '{}' is unloaded", name)}}));
}

}  // namespace llm::api
