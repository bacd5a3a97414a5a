// What a client is told when a request fails: a status and OpenAI's error object.
//
// {"error":{"message":...,"type":...,"param":...,"code":...}}: param and code are a string or null.
// Handlers throw HttpError; the server's edge turns it, and any other exception, into an answer.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "serving/http/request.h"

namespace llm::http {

class HttpError : public std::exception {
 public:
  /// code "" = null in the answer; param likewise.
  HttpError(int status, std::string code, std::string message, std::string param = {});
  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& param() const { return param_; }
  const char* what() const noexcept override { return message_.c_str(); }

  Headers headers;  // sent with the answer: Retry-After, Allow, WWW-Authenticate

 private:
  int status_;
  std::string code_, message_, param_;
};

/// "invalid_request_error" for what the client can mend, "rate_limit_error", "permission_error",
/// "server_error".
std::string_view error_type(int status);

/// One line of JSON, always valid UTF-8.
std::string error_body(const HttpError& error);

/// The error of an exception that a handler let out: an HttpError as it is; an llm::Error of usage
/// kind as 400 with its message; anything else as 500 "internal error", after it was logged as
/// "<what>: ...".
HttpError error_of(std::exception_ptr exception, std::string_view what);

/// 429 "rate_limit_exceeded" with Retry-After in whole seconds, at least 1.
HttpError too_many_requests(std::string message, double retry_after_seconds);

}  // namespace llm::http
