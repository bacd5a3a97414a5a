#include "serving/http/http_server.h"

#include <gtest/gtest.h>

#include "tests/http/test_server.h"
#include "tests/support/expect_error.h"

namespace llm::http {
namespace {

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  TestServer test;
  RawClient client(test.port());
  for (int i = 0; i < 3; ++i) {
    const RawAnswer answer = client.ask(get_request("/health"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "ok");
    EXPECT_EQ(answer.header("Content-Type"), "text/plain");
    EXPECT_EQ(answer.header("Content-Length"), "2");
    EXPECT_EQ(answer.header("Connection"), "");
    EXPECT_EQ(answer.header("Date").size(), 29u);
    EXPECT_TRUE(is_sane_request_id(answer.header("X-Request-ID")));
  }
  EXPECT_EQ(test.server->stats().accepted, 1u);
  EXPECT_EQ(test.server->stats().requests, 3u);
}

TEST(HttpServer, TakesASaneRequestIdAndReplacesAnother) {
  TestServer test;
  RawClient client(test.port());
  EXPECT_EQ(
      client.ask(get_request("/health", "x-request-id: My.id_7-x\r\n")).header("X-Request-ID"),
      "My.id_7-x");
  EXPECT_NE(client.ask(get_request("/health", "X-Request-ID: a b\r\n")).header("X-Request-ID"),
            "a b");
  const std::string long_id(65, 'a');
  EXPECT_NE(client.ask(get_request("/health", "X-Request-ID: " + long_id + "\r\n"))
                .header("X-Request-ID"),
            long_id);
}

TEST(HttpServer, HandlersSeeWhatWasSent) {
  TestServer test;
  RawClient client(test.port());
  const RawAnswer answer =
      client.ask("GET /seen?a=1%202&b=x+y&c&a=%C3%A9 HTTP/1.1\r\nhOsT: here\r\nX-Odd:  v \r\n\r\n");
  EXPECT_EQ(answer.body,
            "GET /seen 127.0.0.1\na=1 2\nb=x y\nc=\na=\xC3\xA9\nhOsT: here\nX-Odd: v\n");
}

TEST(HttpServer, HeadHasTheHeaderOfGetAndNoBody) {
  TestServer test;
  RawClient client(test.port());
  client.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer answer = client.read_answer(5, true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Length"), "2");
  EXPECT_EQ(client.ask(get_request("/health")).body, "ok");  // nothing lay between
}

TEST(HttpServer, Http10ClosesUnlessAskedToStay) {
  TestServer test;
  RawClient brief(test.port());
  const RawAnswer closed = brief.ask("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(closed.header("Connection"), "close");
  EXPECT_EQ(closed.body, "ok");
  EXPECT_EQ(brief.read_to_end(), "");
  RawClient staying(test.port());
  EXPECT_EQ(
      staying.ask("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("Connection"),
      "keep-alive");
  EXPECT_EQ(staying.ask(get_request("/health")).status, 200);
}

TEST(HttpServer, ConnectionCloseIsObeyed) {
  TestServer test;
  RawClient client(test.port());
  EXPECT_EQ(client.ask(get_request("/health", "Connection: close\r\n")).header("Connection"),
            "close");
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpServer, ContinuesABodyThatAsks) {
  TestServer test;
  RawClient client(test.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("hello");
  EXPECT_EQ(client.read_answer().body, "hello");
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: gold\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 417);
}

TEST(HttpServer, ExceptionsBecomeAnswersWithoutTheirText) {
  TestServer test;
  const auto ask = [&](const std::string& path) {
    RawClient client(test.port());
    return client.ask(get_request(path));
  };
  EXPECT_EQ(ask("/usage").body,
            R"({"error":{"message":"top_k must be positive","type":"invalid_request_error",)"
            R"("param":null,"code":"invalid_value"}})");
  EXPECT_EQ(ask("/usage").status, 400);
  const std::string internal =
      R"({"error":{"message":"internal error","type":"server_error","param":null,)"
      R"("code":"server_error"}})";
  for (const char* path : {"/bug", "/odd", "/worker/bug"}) {
    const RawAnswer answer = ask(path);
    EXPECT_EQ(answer.status, 500) << path;
    EXPECT_EQ(answer.body, internal) << path;
    EXPECT_EQ(answer.header("Content-Type"), "application/json") << path;
  }
  EXPECT_EQ(ask("/taken").body,
            R"({"error":{"message":"model 'x' is not served","type":"invalid_request_error",)"
            R"("param":"model","code":"model_not_found"}})");
  EXPECT_EQ(ask("/dropped").status, 500);
  EXPECT_EQ(ask("/worker/a%2Fb").body, "a/b");
}

TEST(HttpServer, RefusesAnAddressInUse) {
  TestServer test;
  ServerConfig config;
  config.port = test.port();
  config.handler = [](Request&&, const ReplyPtr&) {};
  expect_error([&] { Server second(config); }, Exit::usage,
               fmt::format("cannot listen on 127.0.0.1:{}: Address already in use", test.port()));
  config.port = 0;
  config.host = "256.0.0.1";
  expect_error_with([&] { Server second(config); }, Exit::usage, "cannot listen on 256.0.0.1:0: ");
  config.host = "127.0.0.1";
  config.port = 70000;
  expect_error([&] { Server second(config); }, Exit::usage,
               "port must be from 0 to 65535, got 70000");
}

TEST(HttpServer, ListensOnIpv6AndSaysWhere) {
  ServerConfig config;
  config.host = "[::1]";
  config.port = 0;
  config.handler = [](Request&& request, const ReplyPtr& reply) {
    reply->send(200, "text/plain", request.address);
  };
  Server server(std::move(config));
  EXPECT_EQ(server.url(), fmt::format("http://[::1]:{}", server.port()));
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  address.sin6_port = htons(static_cast<uint16_t>(server.port()));
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string request = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string all;
  char piece[512];
  for (ssize_t got; (got = ::recv(fd, piece, sizeof piece, 0)) > 0;) {
    all.append(piece, static_cast<size_t>(got));
  }
  ::close(fd);
  EXPECT_TRUE(all.ends_with("\r\n\r\n::1")) << all;
}

TEST(HttpServer, CanListenAgainOnThePortItLeft) {
  int port = 0;
  {
    TestServer test;
    port = test.port();
    RawClient client(port);
    EXPECT_EQ(client.ask(get_request("/health", "Connection: close\r\n")).status, 200);
    client.read_to_end();
  }
  ServerConfig config;
  config.port = port;
  config.handler = [](Request&&, const ReplyPtr& reply) { reply->send(200, "", ""); };
  EXPECT_NO_THROW(Server again(config));
}

TEST(HttpServer, ReportsEachExchangeOnce) {
  TestServer test;
  RawClient client(test.port());
  client.ask(get_request("/health?secret=1"));
  client.send("BAD\r\n\r\n");
  client.read_answer();
  ASSERT_TRUE(soon([&] { return test.finished().size() == 2; }));
  const std::vector<Exchange> all = test.finished();
  EXPECT_EQ(all[0].method, "GET");
  EXPECT_EQ(all[0].path, "/health");
  EXPECT_EQ(all[0].status, 200);
  EXPECT_EQ(all[0].address, "127.0.0.1");
  EXPECT_GT(all[0].bytes_sent, 2u);
  EXPECT_TRUE(all[0].complete);
  EXPECT_EQ(all[1].method, "");
  EXPECT_EQ(all[1].status, 400);
}

TEST(HttpServer, OverTheConnectionLimitSays503AndRecovers) {
  Limits limits;
  limits.connections = 2;
  TestServer test(limits);
  RawClient first(test.port()), second(test.port());
  EXPECT_EQ(first.ask(get_request("/health")).status, 200);
  EXPECT_EQ(second.ask(get_request("/health")).status, 200);
  {
    RawClient third(test.port());
    const RawAnswer answer = third.read_answer();
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_EQ(third.read_to_end(), "");
  }
  EXPECT_EQ(first.ask(get_request("/health")).status, 200);
  first.close();
  ASSERT_TRUE(soon([&] { return test.server->stats().open == 1; }));
  EXPECT_EQ(RawClient(test.port()).ask(get_request("/health")).status, 200);
  EXPECT_EQ(test.server->stats().rejected, 1u);
}

TEST(HttpServer, SeveralIoThreadsServeAlike) {
  TestServer test({}, 3);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      RawClient client(test.port());
      for (int i = 0; i < 50; ++i) {
        const std::string body(static_cast<size_t>(i * 37), 'a' + static_cast<char>(i % 26));
        good += client.ask(post_request("/echo", body)).body == body;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 300);
}

}  // namespace
}  // namespace llm::http
