// Method and path -> handler, with {name} parts, and the scope that each route asks for.
//
// "/v1/models/{model}" matches one path part per {name}; parts are decoded after the path is cut,
// so "org%2Fname" is one part. Where a route says so, its last {name} takes all parts that are left
// ("org/name"), of which none is empty. A literal part wins over a {name}, one for a single part
// over one for the rest. HEAD is answered by GET's route.
// Unknown paths are 404, known ones with another method 405 with Allow. Before a handler (and
// before 404 and 405) the gate is asked, which throws HttpError to refuse: that is where keys and
// rates are checked. Routes are added before the server starts; then it is read-only and may be
// used from any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/reply.h"
#include "serving/http/request.h"

namespace llm::http {

/// What a key must allow. open: no key is asked for. any_key: whatever its scopes.
enum class Scope { open, any_key, generate, embed, admin };
std::string_view scope_name(Scope scope);

using RouteHandler = std::function<void(const Request&, const ReplyPtr&)>;

struct Route {
  std::string method;   // "GET", "POST", "DELETE", "PUT"
  std::string pattern;  // "/v1/models/{model}"
  Scope scope = Scope::any_key;
  RouteHandler handler;
  bool quick = false;       // runs on the io thread, never behind others: health, metrics
  std::string summary;      // one line for /openapi.json
  bool takes_rest = false;  // the pattern's last part is a {name} for one path part or several
};

class Router {
 public:
  /// Throws Error(Exit::internal) for a pattern that is not one, or a route that is there already.
  void add(Route route);
  const std::vector<Route>& routes() const { return routes_; }

  /// Throws HttpError to refuse; `route` is null for 404 and 405 (ask for any key).
  using Gate = std::function<void(const Route* route, const Request&, Reply&)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  /// Headers of the 204 for an OPTIONS request to a path that takes `methods` ("GET, HEAD"), which
  /// the gate is not asked about; nothing: it is a request like others.
  using Preflight = std::function<std::optional<Headers>(const Request&, std::string_view methods)>;
  void set_preflight(Preflight preflight) { preflight_ = std::move(preflight); }
  /// Where handlers that are not quick run, unless their client has left by then and the body is a
  /// long one; without it, all run where handle() is called.
  using Runner = std::function<void(std::function<void()>)>;
  void set_runner(Runner runner) { runner_ = std::move(runner); }

  /// Answers, now or later; never throws.
  void handle(Request&& request, const ReplyPtr& reply) const;

 private:
  struct Match {
    const Route* route = nullptr;
    std::vector<std::pair<std::string, std::string>> params;
  };
  Match find(const Request& request, std::string& allowed) const;
  bool goes_before(size_t a, size_t b) const;  // of two routes that match
  void answer(Request&& request, const ReplyPtr& reply) const;

  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> parts_;  // of each pattern
  Gate gate_;
  Preflight preflight_;
  Runner runner_;
};

}  // namespace llm::http
