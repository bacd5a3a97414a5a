#include "serving/http/cors.h"

#include <gtest/gtest.h>

#include "tests/http/test_server.h"
#include "tests/support/expect_error.h"

namespace llm::http {
namespace {

Request from(const std::string& origin, const std::string& method = "GET", Headers more = {}) {
  Request request;
  request.method = method;
  if (!origin.empty()) request.headers = {{"Origin", origin}};
  request.headers.insert(request.headers.end(), more.begin(), more.end());
  return request;
}

Request preflight(const std::string& origin, Headers more = {}) {
  more.emplace_back("Access-Control-Request-Method", "POST");
  return from(origin, "OPTIONS", more);
}

const Headers kAllowed = {{"Vary", "Origin"},
                          {"Access-Control-Allow-Origin", "https://a.org"},
                          {"Access-Control-Expose-Headers", "X-Request-ID, X-Cache, Retry-After"}};

TEST(Cors, IsOffUnlessAnOriginIsListed) {
  const CorsPolicy policy(std::vector<std::string>{});
  EXPECT_EQ(policy.answer_headers(from("https://a.org")), Headers{});
  EXPECT_EQ(policy.preflight_headers(preflight("https://a.org"), "GET"), std::nullopt);
}

TEST(Cors, EchoesListedOriginsOnly) {
  const CorsPolicy policy({"https://a.org", "http://localhost:3000"});
  EXPECT_EQ(policy.answer_headers(from("https://a.org")), kAllowed);
  EXPECT_EQ(policy.answer_headers(from("http://localhost:3000"))[1].second,
            "http://localhost:3000");
  const Headers varies = {{"Vary", "Origin"}};
  for (const char* other :
       {"", "https://b.org", "http://a.org", "https://a.org:444", "https://a.org.evil.com",
        "https://xa.org", "https://a.org/", "null", "*", "https://a.org, https://b.org"}) {
    EXPECT_EQ(policy.answer_headers(from(other)), varies) << other;
    EXPECT_EQ(policy.preflight_headers(preflight(other), "GET"), std::nullopt) << other;
  }
}

TEST(Cors, AStarListsAllAndDoesNotVary) {
  const CorsPolicy policy({"https://a.org", "*"});
  EXPECT_EQ(policy.answer_headers(from("http://anything:1")),
            (Headers{{"Access-Control-Allow-Origin", "*"},
                     {"Access-Control-Expose-Headers", "X-Request-ID, X-Cache, Retry-After"}}));
  EXPECT_EQ(policy.answer_headers(from("")), Headers{});
  EXPECT_TRUE(policy.preflight_headers(preflight("null"), "GET"));
}

TEST(Cors, APreflightLearnsMethodsHeadersAndForHowLong) {
  const CorsPolicy policy({"https://a.org"});
  EXPECT_EQ(policy.preflight_headers(preflight("https://a.org"), "GET, HEAD"),
            (Headers{{"Access-Control-Allow-Methods", "GET, HEAD"},
                     {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-ID"},
                     {"Access-Control-Max-Age", "3600"}}));
  const auto headers_for = [&](const std::string& asked) {
    return (*policy.preflight_headers(
        preflight("https://a.org", {{"Access-Control-Request-Headers", asked}}), "POST"))[1]
        .second;
  };
  EXPECT_EQ(headers_for("authorization,content-type,x-stainless-lang"),
            "authorization,content-type,x-stainless-lang");
  for (const std::string& odd : {std::string("a: b"), std::string("a<b>"), std::string(1025, 'a')})
    EXPECT_EQ(headers_for(odd), "Authorization, Content-Type, X-Request-ID") << odd;
}

TEST(Cors, OtherOptionsRequestsAreNoPreflights) {
  const CorsPolicy policy({"https://a.org"});
  EXPECT_EQ(policy.preflight_headers(from("https://a.org", "OPTIONS"), "GET"), std::nullopt);
  EXPECT_EQ(policy.preflight_headers(preflight("https://a.org"), ""), std::nullopt);
  Request get = preflight("https://a.org");
  get.method = "GET";
  EXPECT_EQ(policy.preflight_headers(get, "GET"), std::nullopt);
}

TEST(Cors, AnOriginIsWrittenAsBrowsersSendIt) {
  EXPECT_EQ(normal_origin("HTTPS://Example.ORG:443"), "https://example.org");
  EXPECT_EQ(normal_origin("http://localhost:80"), "http://localhost");
  EXPECT_EQ(normal_origin("http://localhost:443"), "http://localhost:443");
  EXPECT_EQ(normal_origin("http://[::1]:3000"), "http://[::1]:3000");
  EXPECT_EQ(normal_origin("http://[::1]"), "http://[::1]");
  EXPECT_EQ(normal_origin("chrome-extension://abcdef"), "chrome-extension://abcdef");
  EXPECT_TRUE(
      CorsPolicy({"HTTPS://A.org:443"}).preflight_headers(preflight("https://a.org"), "GET"));
}

TEST(Cors, WhatIsNoOriginIsRefusedByName) {
  for (const char* text : {"",
                           "null",
                           "a.org",
                           "https://",
                           "https://a.org/",
                           "https://a.org/path",
                           "https://a.org?x",
                           "https://user@a.org",
                           "https://*.a.org",
                           "https://a.org:",
                           "https://a.org:0",
                           "https://a.org:080",
                           "https://a.org:65536",
                           "https://a.org:x",
                           "https://a org",
                           "://a.org",
                           "1http://a.org",
                           "https://[::1",
                           "https://[]",
                           "https://ä.org",
                           "**"}) {
    EXPECT_EQ(normal_origin(text), std::nullopt) << text;
    expect_error_with(
        [&] {
          CorsPolicy({"https://ok.org", text});
        },
        Exit::usage, std::string("--cors-origin: '") + text + "' is no origin");
  }
}

/// A server whose answers say whom they answer, as `llm api` does it.
struct OpenServer : TestServer {
  CorsPolicy policy{{"https://a.org"}};
  OpenServer() : TestServer({}, 1, [this](const Request& r) { return policy.answer_headers(r); }) {}
};

TEST(Cors, EveryAnswerCarriesTheHeaders) {
  OpenServer test;
  const std::string origin = "Origin: https://a.org\r\n";
  const auto allowed = [&](const std::string& path, int status) {
    const RawAnswer answer = RawClient(test.port()).ask(get_request(path, origin));
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "https://a.org") << path;
    EXPECT_EQ(answer.header("Vary"), "Origin") << path;
    EXPECT_EQ(answer.header("Access-Control-Allow-Credentials"), "") << path;
  };
  allowed("/health", 200);
  allowed("/taken", 404);
  allowed("/bug", 500);
  allowed("/dropped", 500);
  allowed("/nowhere", 404);
  allowed("/worker/bug", 500);
  RawClient stream(test.port());
  stream.send(get_request("/stream", origin));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->end();
  EXPECT_EQ(stream.read_answer(5).header("Access-Control-Allow-Origin"), "https://a.org");
}

TEST(Cors, ARequestThatIsRefusedBeforeItIsReadCarriesThemToo) {
  OpenServer test;
  const RawAnswer answer = RawClient(test.port())
                               .ask(
                                   "POST /echo HTTP/1.1\r\nHost: x\r\nOrigin: "
                                   "https://a.org\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "https://a.org");
}

}  // namespace
}  // namespace llm::http
