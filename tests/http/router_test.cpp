#include "serving/http/router.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "serving/http/outbox.h"

namespace llm::http {
namespace {

/// Handles a request without a socket and gives back what was answered.
std::string answer_of(const Router& router, const std::string& method, const std::string& target) {
  const std::atomic<bool> draining{false};
  const auto outbox = std::make_shared<Outbox>(
      Outbox::Setup{true, method == "HEAD", true, "id", 1 << 20, &draining}, [] {});
  Request request;
  request.method = method;
  EXPECT_TRUE(parse_target(target, request)) << target;
  router.handle(std::move(request), std::make_shared<Reply>(outbox));
  return outbox->take();
}

int status_of(const Router& router, const std::string& method, const std::string& target) {
  return std::atoi(answer_of(router, method, target).substr(9, 3).c_str());
}

std::string body_of(const Router& router, const std::string& method, const std::string& target) {
  const std::string all = answer_of(router, method, target);
  return all.substr(all.find("\r\n\r\n") + 4);
}

Route route(std::string method, std::string pattern) {
  std::string name = method + " " + pattern;
  return {std::move(method),
          std::move(pattern),
          Scope::generate,
          [name](const Request& request, const ReplyPtr& reply) {
            std::string text = name;
            for (const auto& [key, value] : request.params) text += " " + key + "=" + value;
            reply->send(200, "text/plain", text);
          },
          true,
          ""};
}

Router some_routes() {
  Router router;
  router.add(route("GET", "/"));
  router.add(route("GET", "/v1/models"));
  router.add(route("GET", "/v1/models/{model}"));
  router.add(route("DELETE", "/v1/models/{model}"));
  router.add(route("GET", "/v1/models/{model}/parts/{part}"));
  router.add(route("GET", "/v1/models/all"));
  router.add(route("POST", "/v1/completions"));
  return router;
}

TEST(Router, FindsLiteralsBeforeNames) {
  const Router router = some_routes();
  EXPECT_EQ(body_of(router, "GET", "/"), "GET /");
  EXPECT_EQ(body_of(router, "GET", "/v1/models?x=1"), "GET /v1/models");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/all"), "GET /v1/models/all");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a"), "GET /v1/models/{model} model=a");
  EXPECT_EQ(body_of(router, "DELETE", "/v1/models/all"), "DELETE /v1/models/{model} model=all");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a/parts/b"),
            "GET /v1/models/{model}/parts/{part} model=a part=b");
}

TEST(Router, DecodesPartsAfterItHasCutThePath) {
  const Router router = some_routes();
  EXPECT_EQ(body_of(router, "GET", "/v1/models/org%2Fname%20x"),
            "GET /v1/models/{model} model=org/name x");
  EXPECT_EQ(body_of(router, "GET", "/%76%31/models"), "GET /v1/models");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a+b"), "GET /v1/models/{model} model=a+b");
  for (const char* target :
       {"/v1/models/%", "/v1/models/%zz", "/v1/models/%00", "/v1/models/%ff"}) {
    EXPECT_EQ(status_of(router, "GET", target), 404) << target;
  }
}

TEST(Router, ALastNameTakesTheRestWhereTheRouteSaysSo) {
  Router router;
  Route rest = route("GET", "/v1/models/{model}");
  rest.takes_rest = true;
  router.add(std::move(rest));
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a"), "GET /v1/models/{model} model=a");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/org/name"), "GET /v1/models/{model} model=org/name");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a/b%2Fc/d%20e?x=1"),
            "GET /v1/models/{model} model=a/b/c/d e");
  for (const char* target : {"/v1/models", "/v1/models/", "/v1/models/a/", "/v1/models/a//b",
                             "/v1/models//b", "/v1/model/a/b", "/v1/models/a/%zz"}) {
    EXPECT_EQ(status_of(router, "GET", target), 404) << target;
  }
  EXPECT_EQ(status_of(router, "POST", "/v1/models/a/b"), 405);
  // What is more exact goes first, whichever was there first.
  router.add(route("GET", "/v1/models/{model}/parts/{part}"));
  router.add(route("GET", "/v1/models/{one}"));
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a"), "GET /v1/models/{one} one=a");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a/parts/b"),
            "GET /v1/models/{model}/parts/{part} model=a part=b");
  EXPECT_EQ(body_of(router, "GET", "/v1/models/a/parts/b/c"),
            "GET /v1/models/{model} model=a/parts/b/c");
  Route again = route("GET", "/v1/models/{other}"), literal = route("GET", "/v1/all");
  again.takes_rest = literal.takes_rest = true;
  EXPECT_THROW(router.add(std::move(again)), Error);
  EXPECT_THROW(router.add(std::move(literal)), Error);
}

TEST(Router, UnknownPathsAre404) {
  const Router router = some_routes();
  for (const char* target : {"/v1", "/v1/", "/v1/models/", "//", "/v1/models/a/", "/v1//models",
                             "/V1/models", "/v1/models/../models", "/%"}) {
    EXPECT_EQ(status_of(router, "GET", target), 404) << target;
  }
  EXPECT_EQ(body_of(router, "GET", "/nope"),
            R"({"error":{"message":"there is no /nope","type":"invalid_request_error",)"
            R"("param":null,"code":"not_found"}})");
}

TEST(Router, AnotherMethodIs405WithAllow) {
  const Router router = some_routes();
  const std::string answer = answer_of(router, "PUT", "/v1/models/a");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n")) << answer;
  EXPECT_NE(answer.find("\r\nAllow: DELETE, GET, HEAD\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("/v1/models/a does not take PUT; it takes DELETE, GET, HEAD"),
            std::string::npos);
  EXPECT_EQ(status_of(router, "GET", "/v1/completions"), 405);
  EXPECT_EQ(status_of(router, "HEAD", "/v1/completions"), 405);
  EXPECT_EQ(status_of(router, "OPTIONS", "/v1/completions"), 405);
  EXPECT_EQ(status_of(router, "get", "/v1/models"), 405);
}

TEST(Router, HeadIsGetWithoutItsBody) {
  const std::string answer = answer_of(some_routes(), "HEAD", "/v1/models");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(answer.find("Content-Length: 14\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST(Router, AsksTheGateBeforeAnything) {
  Router router = some_routes();
  std::vector<std::string> asked;
  router.set_gate([&](const Route* found, const Request&, Reply&) {
    asked.push_back(found ? found->pattern : "none");
    throw HttpError(401, "invalid_api_key", "missing or wrong API key");
  });
  for (const char* target : {"/v1/models/x", "/nope", "/v1/completions"}) {
    EXPECT_EQ(status_of(router, "GET", target), 401) << target;
  }
  EXPECT_EQ(asked, (std::vector<std::string>{"/v1/models/{model}", "none", "none"}));
}

TEST(Router, RunsQuickHandlersAtOnceAndOthersElsewhere) {
  Router router;
  int elsewhere = 0;
  Route slow = route("GET", "/slow");
  slow.quick = false;
  router.add(std::move(slow));
  router.add(route("GET", "/quick"));
  router.set_runner([&](std::function<void()> work) {
    ++elsewhere;
    work();
  });
  EXPECT_EQ(body_of(router, "GET", "/quick"), "GET /quick");
  EXPECT_EQ(elsewhere, 0);
  EXPECT_EQ(body_of(router, "GET", "/slow"), "GET /slow");
  EXPECT_EQ(elsewhere, 1);
}

TEST(Router, ReadsNoLongBodyOfAClientThatLeftWhileItWaited) {
  Router router;
  int handled = 0;
  Route slow = route("POST", "/slow");
  slow.quick = false;
  slow.handler = [&](const Request&, const ReplyPtr& reply) {
    ++handled;
    reply->send(200, "text/plain", "done");
  };
  router.add(std::move(slow));
  std::vector<std::function<void()>> waiting;
  router.set_runner([&](std::function<void()> work) { waiting.push_back(std::move(work)); });
  static const std::atomic<bool> draining{false};
  std::vector<std::shared_ptr<Outbox>> outboxes;
  for (const size_t bytes : {100'000, 100, 100'000}) {
    outboxes.push_back(std::make_shared<Outbox>(
        Outbox::Setup{true, false, true, "id", 1 << 20, &draining}, [] {}));
    Request request;
    request.method = "POST";
    request.path = "/slow";
    request.body.assign(bytes, 'a');
    router.handle(std::move(request), std::make_shared<Reply>(outboxes.back()));
  }
  std::function<void()> callback;
  outboxes[0]->leave(callback);
  outboxes[1]->leave(callback);
  for (auto& work : waiting) std::exchange(work, nullptr)();
  EXPECT_EQ(handled, 2);
  EXPECT_TRUE(outboxes[0]->take().starts_with("HTTP/1.1 499 "));
  EXPECT_TRUE(outboxes[1]->take().starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(outboxes[2]->take().starts_with("HTTP/1.1 200 "));
}

TEST(Router, RefusesRoutesThatAreThereOrAreNone) {
  Router router = some_routes();
  EXPECT_THROW(router.add(route("GET", "/v1/models/{name}")), Error);
  EXPECT_THROW(router.add(route("GET", "v1")), Error);
  EXPECT_THROW(router.add({"GET", "/x", Scope::open, nullptr, true, ""}), Error);
  EXPECT_NO_THROW(router.add(route("PUT", "/v1/models/{name}")));
  EXPECT_EQ(router.routes().size(), 8u);
}

TEST(Router, APreflightIsAnsweredBeforeTheGateForPathsThatAreThere) {
  Router router = some_routes();
  router.set_gate([](const Route*, const Request&, Reply&) {
    throw HttpError(401, "invalid_api_key", "no key");
  });
  EXPECT_EQ(status_of(router, "OPTIONS", "/v1/models/x"), 401);
  router.set_preflight([](const Request& request, std::string_view methods) {
    return request.path == "/" ? std::nullopt
                               : std::optional<Headers>({{"X-Methods", std::string(methods)}});
  });
  const std::string answer = answer_of(router, "OPTIONS", "/v1/models/x");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 204 No Content\r\n")) << answer;
  EXPECT_NE(answer.find("\r\nX-Methods: DELETE, GET, HEAD\r\n"), std::string::npos) << answer;
  EXPECT_EQ(answer.find("Content-"), answer.find("Content-Type-Options")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_EQ(status_of(router, "OPTIONS", "/"), 401);         // it said no
  EXPECT_EQ(status_of(router, "OPTIONS", "/nothing"), 401);  // no such path
  EXPECT_EQ(status_of(router, "GET", "/v1/models"), 401);
}

}  // namespace
}  // namespace llm::http
