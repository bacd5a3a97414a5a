#include "serving/http/api_keys.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"

namespace llm::http {
namespace {

HttpError wrong_key() {
  HttpError error(401, "invalid_api_key", "missing or wrong API key");
  error.headers.emplace_back("WWW-Authenticate", "Bearer");
  return error;
}

/// What follows "Bearer"; "" if it is another scheme.
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer";
  if (authorization.size() <= kScheme.size() || authorization[kScheme.size()] != ' ' ||
      !same_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  authorization.remove_prefix(kScheme.size());
  authorization.remove_prefix(std::min(authorization.find_first_not_of(' '), authorization.size()));
  return authorization;
}

/// "localhost", "127.0.0.1:8000", "[::1]:8000": what stands before the port, in small letters;
/// nothing for a text that is no host with a port.
std::string name_in(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const size_t bracket = bracketed ? host.find(']') : 0;
  if (bracket == std::string_view::npos) return {};
  const size_t end = bracketed ? bracket + 1 : std::min(host.find(':'), host.size());
  const std::string_view port = host.substr(end);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!port.empty() && (port[0] != ':' || !std::all_of(port.begin() + 1, port.end(), is_digit)))
    return {};
  std::string name(host.substr(0, end));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return name;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

bool ApiKeys::Key::allows(Scope scope) const {
  switch (scope) {
    case Scope::open:
    case Scope::any_key:
      return true;
    case Scope::generate:
      return generate;
    case Scope::embed:
      return embed;
    case Scope::admin:
      return admin;
  }
  return false;
}

/// "generate,embed"; the words are not named in the message: they may be part of a key.
void ApiKeys::Key::allow(std::string_view scopes, size_t number) {
  while (true) {
    const std::string_view scope = scopes.substr(0, scopes.find(','));
    bool* const flag = scope == "generate" ? &generate
                       : scope == "embed"  ? &embed
                       : scope == "admin"  ? &admin
                                           : nullptr;
    check(flag != nullptr, "api key {}: after the colon come scopes: generate, embed, admin",
          number);
    *flag = true;
    if (scope.size() == scopes.size()) return;
    scopes.remove_prefix(scope.size() + 1);
  }
}

ApiKeys::ApiKeys(const std::vector<std::string>& given) {
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string_view text = given[i];
    const size_t colon = text.find(':');
    const std::string_view secret = text.substr(0, colon);
    check(!secret.empty() && is_printable(secret),
          "api key {}: must be printable characters without spaces", i + 1);
    Key key{sha256_hex(secret)};
    key.allow(colon == std::string_view::npos ? "generate,embed,admin" : text.substr(colon + 1),
              i + 1);
    const auto same = [&](const Key& other) { return other.hash == key.hash; };
    check(std::none_of(keys_.begin(), keys_.end(), same), "api key {}: is given twice", i + 1);
    keys_.push_back(std::move(key));
  }
}

std::string ApiKeys::authorize(std::string_view authorization, Scope scope) const {
  if (keys_.empty() || scope == Scope::open) return "";
  const std::string_view token = bearer_token(authorization);
  const std::string hash = sha256_hex(token);
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (CRYPTO_memcmp(key.hash.data(), hash.data(), hash.size()) == 0) found = &key;
  }
  if (!found || token.empty()) throw wrong_key();
  if (!found->allows(scope)) {
    throw HttpError(403, "insufficient_scope",
                    fmt::format("this API key does not allow '{}'", scope_name(scope)));
  }
  return hash.substr(0, 8);
}

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string bare = bracketed ? host.substr(1, host.size() - 2) : host;
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, bare.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  if (::inet_pton(AF_INET6, bare.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

void require_loopback_name(const Request& request) {
  for (const auto& [name, host] : request.headers) {
    if (!same_ignoring_case(name, "Host") || is_loopback(name_in(host))) continue;
    throw HttpError(403, "host_not_allowed",
                    fmt::format("Host: '{}' is no name of this machine; without --api-key only "
                                "localhost, 127.0.0.1 and [::1] are answered",
                                loggable(host)));
  }
}

void refuse_public_bind(const std::string& host, bool has_keys, bool insecure) {
  if (has_keys || insecure || is_loopback(host)) return;
  fail(Exit::usage, fmt::format("refusing to listen on {} without --api-key", host),
       "--insecure to allow");
}

}  // namespace llm::http
