// Any bytes as the body of a request: refused with a 4xx whose answer is JSON, or a document whose
// declared fields are all in their range.
// Sources: lib/serving/http/json_body.cpp lib/serving/http/http_error.cpp
// Sources: lib/serving/http/request.cpp
#include "serving/http/json_body.h"

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

namespace http = llm::http;

static void read_fields(const nlohmann::json& body) {
  static const std::vector<http::Field> fields = {http::whole_field("n", 1, 16),
                                                  http::whole_field("max_tokens", 0, 4096),
                                                  http::whole_field("seed", INT64_MIN, INT64_MAX),
                                                  http::number_field("temperature", 0, 2),
                                                  http::flag_field("stream"),
                                                  http::text_field("user", 64),
                                                  http::object_field("stream_options"),
                                                  http::array_field("messages"),
                                                  http::any_field("prompt")};
  const http::FieldReader reader(body, fields);
  const int64_t n = reader.whole("n", 1), most = reader.whole("max_tokens", 0);
  const double temperature = reader.number("temperature", 1);
  if (n < 1 || n > 16 || most < 0 || most > 4096 || !(temperature >= 0 && temperature <= 2) ||
      reader.text("user", "").size() > 64) {
    std::abort();
  }
  reader.flag("stream", false);
  reader.whole("seed");
  for (const std::string& name : reader.unknown()) {
    if (!body.contains(name)) std::abort();
  }
  const std::vector<http::Field> inner = {http::flag_field("include_usage")};
  if (const auto* options = reader.find("stream_options")) {
    http::FieldReader(*options, inner, "stream_options").flag("include_usage", false);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    read_fields(http::parse_body({reinterpret_cast<const char*>(data), size}));
  } catch (const http::HttpError& error) {
    if (error.status() < 400 || error.status() > 499 || error.code().empty()) std::abort();
    const auto answer = nlohmann::json::parse(http::error_body(error));
    if (answer["error"]["message"].get<std::string>().empty()) std::abort();
  }
  return 0;
}
