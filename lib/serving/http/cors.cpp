#include "serving/http/cors.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace llm::http {
namespace {

constexpr std::string_view kHeadersOfOurs = "Authorization, Content-Type, X-Request-ID";
constexpr std::string_view kReadable = "X-Request-ID, X-Cache, Retry-After";
constexpr std::string_view kMaxAgeSeconds = "3600";
constexpr size_t kMostHeaderBytes = 1024;

bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit_or_letter(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

bool every_char(std::string_view text, bool (*test)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), test);
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_letter(text[0]) && every_char(text, [](char c) {
    return is_digit_or_letter(c) || c == '+' || c == '-' || c == '.';
  });
}

bool is_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']')
    return every_char(text.substr(1, text.size() - 2),
                      [](char c) { return is_digit_or_letter(c) || c == ':' || c == '.'; });
  return text.size() <= 253 && every_char(text, [](char c) {
           return is_digit_or_letter(c) || c == '-' || c == '.' || c == '_';
         });
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535 &&
         text[0] != '0';
}

/// Names of headers as a client lists them; what else stands there is not sent back.
bool is_list_of_names(std::string_view text) {
  return text.size() <= kMostHeaderBytes && every_char(text, [](char c) {
           const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
           return is_digit_or_letter(low) || c == '-' || c == '_' || c == ',' || c == ' ';
         });
}

}  // namespace

std::optional<std::string> normal_origin(std::string_view text) {
  std::string origin(text);
  for (char& c : origin) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const size_t colon = origin.find("://");
  if (colon == std::string::npos) return std::nullopt;
  const std::string scheme = origin.substr(0, colon);
  std::string host = origin.substr(colon + 3), port;
  if (const size_t at = host.rfind(':'); at != std::string::npos && !host.ends_with(']')) {
    port = host.substr(at + 1);
    host.resize(at);
    if (!is_port(port)) return std::nullopt;
  }
  if (!is_scheme(scheme) || !is_host(host)) return std::nullopt;
  if ((scheme == "http" && port == "80") || (scheme == "https" && port == "443")) port.clear();
  return scheme + "://" + host + (port.empty() ? "" : ":" + port);
}

CorsPolicy::CorsPolicy(const std::vector<std::string>& origins) {
  for (const std::string& given : origins) {
    if (given == "*") {
      all_ = true;
      continue;
    }
    auto origin = normal_origin(given);
    if (!origin)
      fail(Exit::usage, fmt::format("--cors-origin: '{}' is no origin", given),
           "give scheme://host[:port] without a path (https://example.org), or *");
    origins_.push_back(std::move(*origin));
  }
}

bool CorsPolicy::allows(std::string_view origin) const {
  return !origin.empty() &&
         (all_ || std::find(origins_.begin(), origins_.end(), origin) != origins_.end());
}

Headers CorsPolicy::answer_headers(const Request& request) const {
  if (!all_ && origins_.empty()) return {};
  Headers headers;
  const std::string_view origin = request.header("Origin");
  if (!all_) headers.emplace_back("Vary", "Origin");  // also where it is not allowed: caches
  if (!allows(origin)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", all_ ? "*" : std::string(origin));
  headers.emplace_back("Access-Control-Expose-Headers", kReadable);
  return headers;
}

std::optional<Headers> CorsPolicy::preflight_headers(const Request& request,
                                                     std::string_view methods) const {
  const bool preflight = request.method == "OPTIONS" && methods.size() > 0 &&
                         !request.header("Access-Control-Request-Method").empty();
  if (!preflight || !allows(request.header("Origin"))) return std::nullopt;
  // Clients in browsers have headers of their own (x-stainless-lang); none has a meaning here.
  const std::string_view asked = request.header("Access-Control-Request-Headers");
  return Headers{{"Access-Control-Allow-Methods", std::string(methods)},
                 {"Access-Control-Allow-Headers",
                  std::string(is_list_of_names(asked) ? asked : kHeadersOfOurs)},
                 {"Access-Control-Max-Age", std::string(kMaxAgeSeconds)}};
}

}  // namespace llm::http
