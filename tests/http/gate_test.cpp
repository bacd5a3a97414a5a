// Reliability T25: every route asks for a key, and no log line holds one.
#include "serving/http/gate.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "serving/http/access_log.h"
#include "serving/http/http_server.h"
#include "tests/http/test_server.h"

namespace llm::http {
namespace {

struct GuardedServer {
  explicit GuardedServer(std::vector<std::string> given, RateLimitConfig rate = {})
      : keys(given), rates(rate) {
    const auto add = [&](const char* method, const char* pattern, Scope scope) {
      router.add(
          {method, pattern, scope,
           [](const Request&, const ReplyPtr& reply) { reply->send(200, "text/plain", "in"); },
           true, ""});
    };
    add("GET", "/health", Scope::open);
    add("GET", "/v1/models", Scope::any_key);
    add("GET", "/v1/models/{model}", Scope::any_key);
    add("POST", "/v1/completions", Scope::generate);
    add("POST", "/v1/embeddings", Scope::embed);
    add("POST", "/v1/load_lora_adapter", Scope::admin);
    add("GET", "/metrics", Scope::admin);
    router.set_gate(make_gate(keys, rates));
    ServerConfig config;
    config.port = 0;
    config.handler = [this](Request&& request, const ReplyPtr& reply) {
      router.handle(std::move(request), reply);
    };
    config.observer = [](const Exchange& exchange) { log_access(exchange); };
    server = std::make_unique<Server>(std::move(config));
  }

  int ask(const Route& route, const std::string& authorization) {
    RawClient client(server->port());
    std::string path = route.pattern;
    if (const size_t at = path.find("{model}"); at != std::string::npos) path.replace(at, 7, "m");
    return client
        .ask(route.method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" +
             (authorization.empty() ? "" : "Authorization: " + authorization + "\r\n") + "\r\n")
        .status;
  }

  ApiKeys keys;
  RateLimiter rates;
  Router router;
  std::unique_ptr<Server> server;
};

TEST(Gate, EveryRouteButHealthAsksForAKey) {
  GuardedServer guarded({"sk-0123456789", "sk-generate:generate"});
  for (const Route& route : guarded.router.routes()) {
    const bool open = route.pattern == "/health";
    for (const char* wrong : {"", "Bearer ", "Bearer sk-012345678", "Bearer sk-01234567890",
                              "Basic sk-0123456789", "sk-0123456789"}) {
      EXPECT_EQ(guarded.ask(route, wrong), open ? 200 : 401) << route.pattern << " " << wrong;
    }
    EXPECT_EQ(guarded.ask(route, "Bearer sk-0123456789"), 200) << route.pattern;
    EXPECT_EQ(guarded.ask(route, "bEaReR sk-0123456789"), 200) << route.pattern;
    const bool may = route.scope != Scope::embed && route.scope != Scope::admin;
    EXPECT_EQ(guarded.ask(route, "Bearer sk-generate"), may ? 200 : 403) << route.pattern;
  }
}

TEST(Gate, UnknownPathsAndMethodsTellStrangersNothing) {
  GuardedServer guarded({"sk-0123456789"});
  for (const auto& [method, path] : {std::pair<std::string, std::string>{"GET", "/nope"},
                                     {"GET", "/v1/completions"},
                                     {"DELETE", "/health"},
                                     {"GET", "/healthz"},
                                     {"GET", "//health"},
                                     {"GET", "/health/"}}) {
    const Route route{method, path, Scope::any_key, {}, true, ""};
    EXPECT_EQ(guarded.ask(route, ""), 401) << path;
    EXPECT_GE(guarded.ask(route, "Bearer sk-0123456789"), 404) << path;
  }
}

TEST(Gate, WithoutKeysAllIsOpen) {
  GuardedServer guarded({});
  for (const Route& route : guarded.router.routes()) EXPECT_EQ(guarded.ask(route, ""), 200);
}

TEST(Gate, TheLogNamesACallerByItsHashAndNeverHoldsTheKey) {
  ::testing::internal::CaptureStderr();
  {
    GuardedServer guarded({"sk-very-secret-key"});
    const Route route{
        "POST", "/v1/completions?api_key=sk-very-secret-key", Scope::any_key, {}, true, ""};
    EXPECT_EQ(guarded.ask(route, "Bearer sk-very-secret-key"), 200);
    EXPECT_EQ(guarded.ask(route, "Bearer sk-very-wrong-key"), 401);
    guarded.server->stop();
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("POST /v1/completions 200, "), std::string::npos) << log;
  EXPECT_NE(log.find("POST /v1/completions 401, "), std::string::npos) << log;
  EXPECT_NE(log.find(", key f6c92bc1\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("sk-very"), std::string::npos) << log;
  EXPECT_EQ(log.find("api_key"), std::string::npos) << log;
}

TEST(Gate, ACallerHasItsOwnRateAndHealthHasNone) {
  GuardedServer guarded({"key-a", "key-b"}, {0.001, 2, 100});
  const Route& models = guarded.router.routes()[1];
  const Route& health = guarded.router.routes()[0];
  EXPECT_EQ(guarded.ask(models, "Bearer key-a"), 200);
  EXPECT_EQ(guarded.ask(models, "Bearer key-a"), 200);
  EXPECT_EQ(guarded.ask(models, "Bearer key-a"), 429);
  EXPECT_EQ(guarded.ask(models, "Bearer key-b"), 200);
  // Guesses count against their address.
  EXPECT_EQ(guarded.ask(models, "Bearer guess-1"), 401);
  EXPECT_EQ(guarded.ask(models, "Bearer guess-2"), 401);
  EXPECT_EQ(guarded.ask(models, "Bearer guess-3"), 429);
  EXPECT_EQ(guarded.ask(models, "Bearer key-b"), 200);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(guarded.ask(health, ""), 200);
}

TEST(Gate, ARefusalByRateSaysWhenToComeBack) {
  GuardedServer guarded({}, {0.1, 1, 100});
  RawClient client(guarded.server->port());
  EXPECT_EQ(client.ask(get_request("/v1/models")).status, 200);
  const RawAnswer refused = client.ask(get_request("/v1/models"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "10");
  EXPECT_EQ(refused.body,
            R"({"error":{"message":"too many requests; retry after 10 s",)"
            R"("type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})");
}

}  // namespace
}  // namespace llm::http
