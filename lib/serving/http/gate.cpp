#include "serving/http/gate.h"

namespace llm::http {

Router::Gate make_gate(const ApiKeys& keys, RateLimiter& rates) {
  return [&keys, &rates](const Route* route, const Request& request, Reply& reply) {
    const Scope scope = route ? route->scope : Scope::any_key;
    if (scope == Scope::open) return;
    const std::string by_address = rate_client_of_address(request.address);
    std::string tag;
    try {
      tag = keys.authorize(request.header("Authorization"), scope);
    } catch (const HttpError&) {
      rates.require(by_address);
      throw;
    }
    reply.set_client(tag);
    rates.require(tag.empty() ? by_address : tag);
  };
}

}  // namespace llm::http
