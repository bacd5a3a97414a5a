// Who may ask: API keys with scopes, kept and compared as SHA-256 only.
//
// A key is given as "KEY" (all scopes) or "KEY:generate,embed". With no key at all every route is
// open; with one, every route but those of Scope::open asks for "Authorization: Bearer KEY". The
// comparison looks at every key and takes the same time for all (CRYPTO_memcmp). Messages and logs
// never hold a key: a caller is named by the first 8 hex digits of its hash. Read-only after
// construction; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serving/http/router.h"

namespace llm::http {

class ApiKeys {
 public:
  ApiKeys() = default;
  /// Throws Error(Exit::usage), naming a key by its number: "api key 2: ...".
  explicit ApiKeys(const std::vector<std::string>& given);

  bool empty() const { return keys_.empty(); }
  /// The caller's tag ("" without keys, or where no key was needed). Throws HttpError: 401
  /// "invalid_api_key" for no key or a wrong one, 403 "insufficient_scope" for one that may not.
  std::string authorize(std::string_view authorization, Scope scope) const;

 private:
  struct Key {
    std::string hash;  // 64 hex digits
    bool generate = false, embed = false, admin = false;
    void allow(std::string_view scopes, size_t number);
    bool allows(Scope scope) const;
  };
  std::vector<Key> keys_;
};

/// Refuses with Error(Exit::usage) "refusing to listen on 0.0.0.0 without --api-key" unless the
/// host is this machine alone (127.0.0.0/8, ::1, localhost), there are keys, or `insecure`.
void refuse_public_bind(const std::string& host, bool has_keys, bool insecure);
bool is_loopback(const std::string& host);

/// For a server without keys on this machine alone. Throws HttpError 403 "host_not_allowed" unless
/// the header Host names this machine (localhost, 127.0.0.0/8, [::1]; any port), or there is none
/// (HTTP/1.0): a web page whose name was made to lead here after it was loaded (DNS rebinding)
/// still sends that name.
void require_loopback_name(const Request& request);

}  // namespace llm::http
