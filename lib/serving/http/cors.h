// Which web pages of other sites may read answers: none, unless their origin is listed (CORS).
//
// An origin is "scheme://host[:port]", as browsers send it; "*" lists all. A listed origin is
// echoed in Access-Control-Allow-Origin of every answer, errors and streams too, with "Vary:
// Origin"; others get answers that their browser keeps from them. Cookies are never allowed
// (no Access-Control-Allow-Credentials): keys are sent as a header. A preflight carries no key,
// so it is answered before one is asked for. https://fetch.spec.whatwg.org/#http-cors-protocol
// Read-only after construction; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/request.h"

namespace llm::http {

class CorsPolicy {
 public:
  /// Throws Error(Exit::usage) naming what is no origin: "--cors-origin: 'example.org' ...".
  explicit CorsPolicy(const std::vector<std::string>& origins);

  /// What the answer to this request carries; nothing where no origin is listed.
  Headers answer_headers(const Request& request) const;
  /// What the answer to a preflight carries besides, for a path that takes `methods` ("GET, HEAD");
  /// nothing if the request is no preflight, or its origin is not listed.
  std::optional<Headers> preflight_headers(const Request& request, std::string_view methods) const;

 private:
  bool allows(std::string_view origin) const;
  bool all_ = false;
  std::vector<std::string> origins_;
};

/// As browsers write it: small letters, without the port that the scheme has anyway. Nothing for a
/// text that is no origin ("null" is none: every sandboxed page has it).
std::optional<std::string> normal_origin(std::string_view text);

}  // namespace llm::http
