// One HTTP request as routes see it: method, decoded query, headers, body, where it came from, its
// id.
//
// Built on an io thread, then handed to one handler; a handler that answers later copies what it
// needs. Headers are kept as they were sent; names are looked up without regard to case. The path
// stays percent-encoded (the router decodes its parts, so that %2F inside a part is no separator);
// query names and values are decoded. Follows RFC 9110 and RFC 9112.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;                                       // "GET", as sent
  std::string path;                                         // "/v1/models/org%2Fname"
  std::vector<std::pair<std::string, std::string>> query;   // decoded, in order
  std::vector<std::pair<std::string, std::string>> params;  // {name} parts, decoded by the router
  Headers headers;
  std::string body;
  std::string address;  // of the client, without the port: "127.0.0.1", "::1"
  std::string id;       // the client's X-Request-ID if it is sane, else made here
  std::chrono::steady_clock::time_point received{};  // when its header was complete

  /// The first header of that name, "" if there is none.
  std::string_view header(std::string_view name) const;
  std::optional<std::string> query_value(std::string_view name) const;
  /// A {name} part of the route; "" if the route has none of that name.
  std::string_view param(std::string_view name) const;
};

/// Empties a text and gives its memory back, which `= {}` does not.
inline void release(std::string& text) { std::string().swap(text); }

/// Letters of ASCII only, as HTTP compares names.
bool same_ignoring_case(std::string_view a, std::string_view b);

/// %XX decoded, and + as a space where asked. Nothing for a broken escape, a NUL or bytes that are
/// not UTF-8.
std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space = false);

/// Splits "/path?name=value&..." (or "http://host/path?...") into path and query; false if it is
/// neither, or an escape of the query is broken.
bool parse_target(std::string_view target, Request& request);

/// What a stranger sent, as it may stand in a log: printable ASCII, at most 200 characters; "-" for
/// nothing.
std::string loggable(std::string_view text);

/// 1 to 64 of A-Z a-z 0-9 _ . -
bool is_sane_request_id(std::string_view id);

}  // namespace llm::http
