#include "serving/http/router.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace llm::http {
namespace {

constexpr size_t kMuchWorkBytes = 64 << 10;

bool is_parameter(std::string_view part) {
  return part.size() > 2 && part.front() == '{' && part.back() == '}';
}

/// "/a//b" -> "a", "", "b"; "/" -> "".
std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    parts.emplace_back(part);
    path.remove_prefix(part.size());
  }
  return parts;
}

/// The same path can match both: every part is a {name} in both or the same text.
bool same_shape(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x == y || (is_parameter(x) && is_parameter(y));
         });
}

bool matches(const std::vector<std::string>& pattern, bool takes_rest,
             const std::vector<std::string>& parts) {
  if (takes_rest ? parts.size() < pattern.size() : parts.size() != pattern.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& want = pattern[std::min(i, pattern.size() - 1)];
    if (is_parameter(want) ? parts[i].empty() : want != parts[i]) return false;
  }
  return true;
}

/// What a part of a pattern leaves open: 0 for a literal, 1 for a {name}, 2 for one that may take
/// several.
int openness(const std::vector<std::string>& pattern, bool takes_rest, size_t index) {
  if (!is_parameter(pattern[index])) return 0;
  return takes_rest && index + 1 == pattern.size() ? 2 : 1;
}

}  // namespace

std::string_view scope_name(Scope scope) {
  switch (scope) {
    case Scope::open:
      return "open";
    case Scope::any_key:
      return "any key";
    case Scope::generate:
      return "generate";
    case Scope::embed:
      return "embed";
    case Scope::admin:
      return "admin";
  }
  return "";
}

void Router::add(Route route) {
  if (!route.pattern.starts_with('/') || route.method.empty() || !route.handler) {
    fail(Exit::internal, fmt::format("route '{} {}' is not one", route.method, route.pattern));
  }
  std::vector<std::string> parts = parts_of(route.pattern);
  if (route.takes_rest && !is_parameter(parts.back())) {
    fail(Exit::internal, fmt::format("route '{}' ends with no {{name}}", route.pattern));
  }
  for (size_t i = 0; i < routes_.size(); ++i) {
    if (routes_[i].method == route.method && routes_[i].takes_rest == route.takes_rest &&
        same_shape(parts_[i], parts)) {
      fail(Exit::internal, fmt::format("route '{} {}' is there already, as '{}'", route.method,
                                       route.pattern, routes_[i].pattern));
    }
  }
  routes_.push_back(std::move(route));
  parts_.push_back(std::move(parts));
}

/// The first part that differs decides.
bool Router::goes_before(size_t a, size_t b) const {
  for (size_t i = 0; i < std::min(parts_[a].size(), parts_[b].size()); ++i) {
    const int of_a = openness(parts_[a], routes_[a].takes_rest, i);
    const int of_b = openness(parts_[b], routes_[b].takes_rest, i);
    if (of_a != of_b) return of_a < of_b;
  }
  return false;
}

Router::Match Router::find(const Request& request, std::string& allowed) const {
  std::vector<std::string> parts = parts_of(request.path);
  for (std::string& part : parts) {
    auto decoded = percent_decoded(part);
    if (!decoded) return {};
    part = std::move(*decoded);
  }
  const bool head = request.method == "HEAD";
  std::optional<size_t> best;
  std::vector<std::string> methods;
  for (size_t i = 0; i < routes_.size(); ++i) {
    if (!matches(parts_[i], routes_[i].takes_rest, parts)) continue;
    methods.push_back(routes_[i].method);
    if (routes_[i].method != request.method && !(head && routes_[i].method == "GET")) continue;
    if (!best || goes_before(i, *best)) best = i;
  }
  if (std::find(methods.begin(), methods.end(), "GET") != methods.end()) methods.push_back("HEAD");
  std::sort(methods.begin(), methods.end());
  methods.erase(std::unique(methods.begin(), methods.end()), methods.end());
  allowed = fmt::format("{}", fmt::join(methods, ", "));
  Match match;
  if (!best) return match;
  match.route = &routes_[*best];
  const std::vector<std::string>& pattern = parts_[*best];
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i])) {
      match.params.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), parts[i]);
    }
  }
  for (size_t i = pattern.size(); i < parts.size(); ++i) {
    match.params.back().second += "/" + parts[i];
  }
  return match;
}

void Router::answer(Request&& request, const ReplyPtr& reply) const {
  std::string allowed;
  Match match = find(request, allowed);
  if (preflight_ && request.method == "OPTIONS" && !match.route && !allowed.empty()) {
    if (const auto headers = preflight_(request, allowed)) {
      reply->send(204, "", "", *headers);
      return;
    }
  }
  if (gate_) gate_(match.route, request, *reply);
  if (!match.route && allowed.empty()) {
    throw HttpError(404, "not_found", fmt::format("there is no {}", request.path));
  }
  if (!match.route) {
    HttpError error(
        405, "method_not_allowed",
        fmt::format("{} does not take {}; it takes {}", request.path, request.method, allowed));
    error.headers.emplace_back("Allow", allowed);
    throw error;
  }
  request.params = std::move(match.params);
  if (match.route->quick || !runner_) return match.route->handler(request, reply);
  const auto kept = std::make_shared<const Request>(std::move(request));
  runner_([kept, reply, route = match.route] {
    // While it waited for its turn. (A client that only closed its sending half still reads: what
    // is little work is done for it.)
    if (reply->gone() && kept->body.size() > kMuchWorkBytes) return;
    try {
      route->handler(*kept, reply);
    } catch (...) {
      reply->send_exception(std::current_exception(),
                            fmt::format("{} {}", kept->method, loggable(kept->path)));
    }
  });
}

void Router::handle(Request&& request, const ReplyPtr& reply) const {
  const std::string what = fmt::format("{} {}", request.method, loggable(request.path));
  try {
    answer(std::move(request), reply);
  } catch (...) {
    reply->send_exception(std::current_exception(), what);
  }
}

}  // namespace llm::http
