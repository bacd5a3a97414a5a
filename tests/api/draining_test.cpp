// A server that ends: what runs may end, what comes is refused, whatever it asks of the engine.
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

/// A request whose last byte has not come yet.
struct HalfSent {
  HalfSent(int port, std::string where, const std::string& body)
      : path(std::move(where)), client(port), last(body.back()) {
    const std::string head =
        body == " "
            ? "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"
            : "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    client.send(head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                body.substr(0, body.size() - 1));
  }
  http::RawAnswer finish() {
    client.send({&last, 1});
    return client.read_answer();
  }
  std::string path;
  http::RawClient client;
  char last;
};

const std::string kHealth = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST(Draining, RefusesWorkAndLetsAnswersEnd) {
  Served api;
  write_slowly(api, std::chrono::milliseconds(10));
  std::thread running([&] {
    const Json answer = api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 100}});
    EXPECT_EQ(answer["usage"]["completion_tokens"], 100);
  });
  EXPECT_TRUE(soon([&] { return api.served->engine().stats().generated_tokens >= 1; }));
  const int port = api.server->port();
  const std::string prompt = R"({"prompt":"a"})", input = R"({"input":"a"})";
  std::vector<std::unique_ptr<HalfSent>> late;
  for (const auto& [path, body] :
       {std::pair("/v1/completions", prompt),
        {"/generate", prompt},
        {"/predict", R"({"text":"a"})"},
        {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}]})"},
        {"/v1/embeddings", input},
        {"/embed", input}})
    late.push_back(std::make_unique<HalfSent>(port, path, body));
  HalfSent health(port, "/health", " "), tokens(port, "/tokenize", prompt);
  http::RawClient kept(port);
  EXPECT_EQ(kept.ask(kHealth).status, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the bytes to be read
  std::thread drainer([&] { EXPECT_TRUE(api.server->drain(std::chrono::seconds(20))); });
  EXPECT_TRUE(soon([&] { return http::RawClient(port).ask(kHealth).status == 503; }));
  for (const auto& one : late) {
    const http::RawAnswer answer = one->finish();
    EXPECT_EQ(answer.status, 503) << one->path;
    const Json error = Json::parse(answer.body)["error"];
    EXPECT_EQ(error["code"], "unavailable") << one->path;
    EXPECT_EQ(error["message"], "server is shutting down") << one->path;
  }
  const http::RawAnswer told = kept.ask(kHealth);
  EXPECT_EQ(told.status, 503);
  EXPECT_EQ(told.header("Connection"), "close");
  EXPECT_EQ(Json::parse(told.body)["status"], "draining");
  EXPECT_EQ(kept.read_to_end(), "");
  const http::RawAnswer fresh = api.ask("POST", "/v1/completions", prompt);
  EXPECT_EQ(fresh.status, 503);
  EXPECT_EQ(fresh.header("Connection"), "close");
  EXPECT_EQ(Json::parse(fresh.body)["error"]["message"], "server is shutting down");
  EXPECT_EQ(Json::parse(health.finish().body)["status"], "draining");
  EXPECT_EQ(tokens.finish().status, 200);  // no work for the engine
  running.join();
  drainer.join();
  EXPECT_FALSE(http::RawClient(port).connected());
  EXPECT_EQ(api.served->engine().open_requests(), 0);
}

}  // namespace
}  // namespace llm::test
