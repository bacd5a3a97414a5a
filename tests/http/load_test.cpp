// The server at full size (reliability T16, T17, T18, T30): minutes, by hand with ctest -L long.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "serving/http/json_body.h"
#include "tests/support/resident.h"
#include "tests/http/test_server.h"

namespace llm::http {
namespace {

using std::chrono::milliseconds;

bool allow_files(rlim_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min(std::max(limit.rlim_cur, count), limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur >= count;
}

size_t entries(const char* folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

double slowest_health(RawClient& client, int times) {
  double slowest = 0;
  for (int i = 0; i < times; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(client.ask(get_request("/health")).status, 200);
    slowest = std::max(slowest, seconds_since(begin));
  }
  return slowest;
}

/// A valid body with bytes changed, removed, doubled, or a part repeated.
std::string damaged(std::mt19937& random, std::string text) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t changes = 1 + below(4); changes > 0 && !text.empty(); --changes) {
    const size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + below(8));
        break;
      case 2:
        text.insert(at, std::string(1 + below(3), "{[\"0-e.,"[below(8)]));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(40)));
        break;
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

TEST(HttpLoad, AHundredThousandDamagedBodiesAreAnsweredAndMemoryStaysFlat) {
  TestServer test;
  const std::vector<Field> fields = {
      whole_field("n", 1, 16),           whole_field("max_tokens", 0, 4096),
      number_field("temperature", 0, 2), flag_field("stream"),
      text_field("model", 100),          array_field("messages"),
      object_field("logit_bias"),        any_field("stop")};
  test.router.add({"POST", "/body", Scope::open,
                   [&](const Request& request, const ReplyPtr& reply) {
                     const auto body = json_body(request);
                     const FieldReader reader(body, fields);
                     reader.require("messages");
                     reply->send(200, "text/plain", "");
                   },
                   true, ""});
  const std::string valid =
      R"({"model":"m","messages":[{"role":"user","content":"h\u00e9llo \ud83d\ude00"}],"n":2,)"
      R"("max_tokens":16,"temperature":0.7,"stream":true,"logit_bias":{"5":-100},"stop":["a","b"]})";
  std::mt19937 random(5);
  RawClient client(test.port());
  ASSERT_EQ(client.ask(post_request("/body", valid, "Content-Type: application/json\r\n")).status,
            200);
  int accepted = 0, refused = 0;
  double before = 0;
  for (int i = 0; i < 100'000; ++i) {
    const RawAnswer answer = client.ask(
        post_request("/body", damaged(random, valid), "Content-Type: application/json\r\n"));
    accepted += answer.status == 200;
    refused += answer.status >= 400 && answer.status < 500;
    ASSERT_EQ(accepted + refused, i + 1) << answer.status << " " << answer.body;
    if (i == 5000) {
      std::lock_guard lock(test.mutex);
      test.exchanges.clear();
      before = resident_megabytes();
    }
    if (i % 1000 == 0) {
      std::lock_guard lock(test.mutex);
      test.exchanges.clear();  // of the test, not the server
    }
  }
  EXPECT_GT(refused, 50'000);
  EXPECT_LT(resident_megabytes(), before + allowed_growth(3));
  EXPECT_EQ(test.server->stats().accepted, 1u);  // not one cost the connection
}

TEST(HttpLoad, AThousandStreamsAreServedInOrderBesideAQuickHealth) {
  constexpr size_t kStreams = 1000;
  if (!allow_files(2 * kStreams + 100)) GTEST_SKIP() << "too few open files are allowed";
  TestServer test;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(test.port()));
    ASSERT_TRUE(clients.back()->connected());
    clients.back()->send(get_request("/stream"));
  }
  ASSERT_TRUE(test.wait_held(kStreams, 20));
  RawClient health(test.port());
  slowest_health(health, 10);
  const double before = resident_megabytes();
  constexpr int kPieces = 200;
  std::atomic<int> refused{0};
  const auto write_half = [&](size_t half) {
    for (int piece = 0; piece < kPieces; ++piece) {
      for (size_t i = half; i < kStreams; i += 2) {
        refused += !test.held(i)->write("data: " + std::to_string(piece) + "\n\n");
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
    for (size_t i = half; i < kStreams; i += 2) test.held(i)->end();
  };
  std::thread first(write_half, 0), second(write_half, 1);
  std::atomic<bool> stop{false};
  std::atomic<double> slowest{0};
  std::thread asker([&] {
    while (!stop) {
      slowest = std::max(slowest.load(), slowest_health(health, 1));
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  std::string expected;
  for (int piece = 0; piece < kPieces; ++piece)
    expected += "data: " + std::to_string(piece) + "\n\n";
  size_t whole = 0;
  for (auto& client : clients) whole += client->read_answer(30).body == expected;
  first.join();
  second.join();
  stop = true;
  asker.join();
  EXPECT_EQ(whole, kStreams);
  EXPECT_EQ(refused, 0);
  EXPECT_LT(slowest, allowed_seconds(0.2));
  EXPECT_LT(resident_megabytes(), before + allowed_growth(20));
  EXPECT_EQ(test.closed, 0);
}

TEST(HttpLoad, FiveHundredSlowSocketsAreCutByTheShippedDeadlines) {
  constexpr size_t kSockets = 500;
  if (!allow_files(2 * kSockets + 100)) GTEST_SKIP() << "too few open files are allowed";
  TestServer test;
  const std::string starts[] = {
      "", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"};
  std::vector<std::unique_ptr<RawClient>> slow;
  for (size_t i = 0; i < kSockets; ++i) {
    slow.push_back(std::make_unique<RawClient>(test.port()));
    ASSERT_TRUE(slow.back()->connected());
    slow.back()->send(starts[i % 4]);
  }
  const auto begin = std::chrono::steady_clock::now();
  RawClient user(test.port());
  double slowest = 0;
  bool headers_cut = false;
  while (test.server->stats().open > 1 && seconds_since(begin) < 40) {
    for (size_t i = 0; i < kSockets; ++i) {
      if (i % 4 != 0) slow[i]->send("a");
    }
    slowest = std::max(slowest, slowest_health(user, 5));
    if (seconds_since(begin) > 13) {
      headers_cut = true;
      EXPECT_LE(test.server->stats().open, static_cast<int>(kSockets / 2) + 1);
    }
    std::this_thread::sleep_for(milliseconds(500));
  }
  EXPECT_TRUE(headers_cut);
  EXPECT_EQ(test.server->stats().open, 1);  // the user
  EXPECT_LT(seconds_since(begin), 34);
  EXPECT_LT(slowest, allowed_seconds(0.2));
}

TEST(HttpLoad, TenThousandRequestsLeaveNothingBehind) {
  TestServer test;
  uint64_t made = 0;
  const auto round = [&](int requests) {
    made += static_cast<uint64_t>(requests);
    for (int i = 0; i < requests; ++i) {
      RawClient client(test.port());
      const std::string close = "Connection: close\r\n";
      if (i % 4 == 0) client.ask(get_request("/health", close));
      if (i % 4 == 1) client.ask(post_request("/echo", std::string(1000, 'a'), close));
      if (i % 4 == 2) client.ask("BAD\r\n\r\n");
      if (i % 4 == 3) client.send(get_request("/worker/x"));  // and leaves
    }
    // (The last client may leave before its connection is accepted.)
    ASSERT_TRUE(soon(
        [&] {
          const ServerStats now = test.server->stats();
          return now.accepted == made && now.open == 0;
        },
        10));
    const std::lock_guard lock(test.mutex);
    test.exchanges = {};
  };
  round(1000);
  const double memory = resident_megabytes();
  const size_t files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  round(10'000);
  EXPECT_LT(resident_megabytes(), memory + allowed_growth(3));
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(entries("/proc/self/task"), threads);
}

}  // namespace
}  // namespace llm::http
