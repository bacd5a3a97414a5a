#include "serving/http/http_error.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"

namespace llm::http {

HttpError::HttpError(int status, std::string code, std::string message, std::string param)
    : status_(status),
      code_(std::move(code)),
      message_(std::move(message)),
      param_(std::move(param)) {}

std::string_view error_type(int status) {
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  if (status == 505) return "invalid_request_error";  // the client chose the version
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string error_body(const HttpError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json inner;
  inner["message"] = error.message();
  inner["type"] = error_type(error.status());
  inner["param"] = text_or_null(error.param());
  inner["code"] = text_or_null(error.code());
  nlohmann::ordered_json body;
  body["error"] = std::move(inner);
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

HttpError error_of(std::exception_ptr exception, std::string_view what) {
  try {
    std::rethrow_exception(std::move(exception));
  } catch (const HttpError& error) {
    return error;
  } catch (const Error& error) {
    if (error.code() == Exit::usage) return HttpError(400, "invalid_value", error.message());
    log_error("{}: {}", what, error.message());
  } catch (const std::exception& error) {
    log_error("{}: {}", what, error.what());
  } catch (...) {
    log_error("{}: an exception of no known kind", what);
  }
  return HttpError(500, "server_error", "internal error");
}

HttpError too_many_requests(std::string message, double retry_after_seconds) {
  HttpError error(429, "rate_limit_exceeded", std::move(message));
  const double seconds = std::clamp(std::ceil(retry_after_seconds), 1.0, 86400.0);
  error.headers.emplace_back("Retry-After", std::to_string(static_cast<int64_t>(seconds)));
  return error;
}

}  // namespace llm::http
