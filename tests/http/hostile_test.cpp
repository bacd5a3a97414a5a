// Clients that mean harm, on plain sockets (reliability T18, T19, T20 with short deadlines).
#include <gtest/gtest.h>

#include "tests/support/resident.h"
#include "tests/http/test_server.h"

namespace llm::http {
namespace {

using std::chrono::milliseconds;

/// Sends `piece` again and again until the server answers or closes, at most `total` bytes.
RawAnswer flood(int port, const std::string& start, const std::string& piece, size_t total) {
  RawClient client(port);
  bool taken = client.send(start);
  for (size_t sent = 0; taken && sent < total; sent += piece.size()) {
    taken = client.send(piece) && !client.read_more(0);
  }
  return client.read_answer();
}

TEST(Hostile, FloodsAreRefusedAndMemoryStaysFlat) {
  TestServer test;
  RawClient good(test.port());
  ASSERT_EQ(good.ask(get_request("/health")).status, 200);
  const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string block(64 << 10, 'a');
  std::string headers, chunks;
  while (headers.size() < block.size()) headers += "A: b\r\n";
  while (chunks.size() < block.size()) chunks += "1000\r\n" + std::string(4096, 'a') + "\r\n";
  const struct {
    const char* what;
    std::string start;
    const std::string& piece;
    size_t total;
    int status;
    double megabytes = 10;  // by which memory may grow while it lasts
  } floods[] = {
      {"header without a newline", "GET / HTTP/1.1\r\nX: ", block, 200u << 20, 431},
      {"a million headers", "GET / HTTP/1.1\r\nHost: x\r\n", headers, 6u << 20, 431},
      {"target without an end", "GET /", block, 200u << 20, 431},
      {"body over the limit", post + "Content-Length: 11534336\r\n\r\n", block, 11u << 20, 413},
      {"chunks over the limit", chunked, chunks, 100u << 20, 413, 14},
      {"a huge chunk", chunked + "fffffff0\r\n", block, 100u << 20, 413},
      {"a negative chunk", chunked + "-2\r\n", block, 1u << 20, 400},
      {"a chunk size without end", chunked, std::string(65536, '0'), 1u << 20, 400},
      {"both lengths", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", block,
       1u << 20, 400},
      {"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", block, 1u << 20,
       400},
      {"length 2^64", post + "Content-Length: 18446744073709551616\r\n\r\n", block, 1u << 20, 400},
  };
  for (const auto& one : floods) {
    const double before = resident_megabytes();
    const RawAnswer answer = flood(test.port(), one.start, one.piece, one.total);
    EXPECT_EQ(answer.status, one.status) << one.what;
    EXPECT_EQ(answer.header("Connection"), "close") << one.what;
    EXPECT_TRUE(answer.whole) << one.what;
    EXPECT_LT(resident_megabytes(), before + allowed_growth(one.megabytes)) << one.what;
  }
  EXPECT_EQ(good.ask(get_request("/health")).status, 200);
}

TEST(Hostile, ClientsThatSendTooSlowlyAreCut) {
  Limits limits;
  limits.header_deadline = milliseconds(300);
  limits.body_deadline = milliseconds(300);
  limits.idle_keep_alive = milliseconds(300);
  limits.linger = milliseconds(200);
  TestServer test(limits);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<RawClient>> slow;
  constexpr int kEach = 25;
  const std::string starts[] = {
      "", "\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"};
  for (int i = 0; i < kEach; ++i) {
    for (const std::string& start : starts) {
      slow.push_back(std::make_unique<RawClient>(test.port()));
      slow.back()->send(start);
    }
  }
  RawClient idle(test.port());
  EXPECT_EQ(idle.ask(get_request("/health")).status, 200);
  // They drip a byte every 50 ms: no single wait is long.
  int healthy = 0, asked = 0;
  while (seconds_since(begin) < 1.0) {
    for (size_t i = 0; i < slow.size(); ++i) {
      if (i % 5 != 0) slow[i]->send(i % 5 == 1 ? "\r\n" : "a");
    }
    const auto start = std::chrono::steady_clock::now();
    healthy +=
        RawClient(test.port()).ask(get_request("/health", "Connection: close\r\n")).status == 200;
    ++asked;
    EXPECT_LT(seconds_since(start), allowed_seconds(0.2));
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(healthy, asked);
  EXPECT_TRUE(soon([&] { return test.server->stats().open == 0; }, 2)) << test.server->stats().open;
  EXPECT_EQ(test.server->stats().refused, 4u * kEach);
  slow[0]->read_to_end();
  EXPECT_EQ(slow[2]->read_answer().status, 408);
  EXPECT_EQ(idle.read_to_end(), "");
}

TEST(Hostile, AStreamThatIsNotReadIsCutAtTheWriteStall) {
  Limits limits;
  limits.write_stall = milliseconds(400);
  limits.write_bytes_per_second = 100 << 20;
  limits.stream_queue_bytes = 64 << 20;
  TestServer test(limits);
  RawClient reader(test.port()), sleeper(test.port(), 4096);
  sleeper.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  reader.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(2));
  const std::string piece(8192, 'a');
  const auto begin = std::chrono::steady_clock::now();
  size_t written = 0, read_by_other = 0;
  while (test.held(0)->write(piece) && seconds_since(begin) < 5) {
    written += piece.size();
    EXPECT_TRUE(test.held(1)->write(piece));
    while (reader.read_more(0)) read_by_other += reader.take_held().size();
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_LT(seconds_since(begin), 4);
  EXPECT_GT(seconds_since(begin), 0.35);
  EXPECT_TRUE(soon([&] { return test.closed == 1; }));
  EXPECT_EQ(test.server->stats().stalled, 1u);
  EXPECT_GT(read_by_other, written / 2);
  EXPECT_TRUE(test.held(1)->write("still served"));
}

TEST(Hostile, AStreamBeyondItsQueueIsFullUntilItIsRead) {
  Limits limits;
  limits.stream_queue_bytes = 100'000;
  TestServer test(limits);
  RawClient sleeper(test.port(), 4096);
  sleeper.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  const double before = resident_megabytes();
  const std::string piece(1000, 'a');
  size_t written = 0;
  while (!test.held(0)->full() && written < (100u << 20)) {
    EXPECT_TRUE(test.held(0)->write(piece));
    written += piece.size();
    if (written % 50'000 == 0) std::this_thread::sleep_for(milliseconds(1));  // for it to be sent
  }
  EXPECT_GT(written, 50'000u);
  EXPECT_LT(written, 20u << 20);  // what two socket buffers take, and the queue
  EXPECT_LT(resident_megabytes(), before + allowed_growth(10));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(test.held(0)->full());
  EXPECT_FALSE(test.held(0)->gone());
  // What waited for its reader is not lost.
  const std::string longest(1 << 20, 'b');
  EXPECT_TRUE(test.held(0)->write(longest));
  test.held(0)->end();
  const std::string all = sleeper.read_answer().body;
  EXPECT_EQ(std::ranges::count(all, 'a'), static_cast<int64_t>(written));
  EXPECT_EQ(std::ranges::count(all, 'b'), std::ssize(longest));
  EXPECT_EQ(test.server->stats().stalled, 0u);
}

TEST(Hostile, AnAnswerThatIsReadLateIsReadWhole) {
  Limits limits;
  limits.linger = milliseconds(50);
  TestServer test(limits);
  RawClient client(test.port(), 4096);
  client.send(get_request("/hold", "Connection: close\r\n"));
  ASSERT_TRUE(test.wait_held(1));
  const std::string body(120'000, 'a');  // the kernel takes it all at once
  test.held(0)->send(200, "text/plain", body);
  test.forget_held();
  ASSERT_TRUE(soon([&] { return test.server->stats().open == 0; })) << "it is not over";
  EXPECT_EQ(client.read_answer().body.size(), body.size());
  char byte = 0;
  EXPECT_EQ(::recv(client.fd(), &byte, 1, 0), 0) << "a reset, and not the end";
}

TEST(Hostile, AnAnswerThatIsReadTooSlowlyIsCut) {
  Limits limits;
  limits.write_stall = milliseconds(200);
  limits.write_bytes_per_second = 10 << 20;
  TestServer test(limits);
  RawClient client(test.port(), 4096);
  client.send(get_request("/hold"));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->send(200, "text/plain", std::string(8 << 20, 'a'));
  test.forget_held();
  // A byte now and then keeps the connection moving; the deadline is for the whole.
  char byte;
  const auto begin = std::chrono::steady_clock::now();
  while (::recv(client.fd(), &byte, 1, 0) == 1 && seconds_since(begin) < 6 &&
         test.server->stats().open > 0) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_TRUE(soon([&] { return test.server->stats().open == 0; }, 1));
  EXPECT_LT(seconds_since(begin), 3);
  EXPECT_EQ(test.server->stats().stalled, 1u);
}

TEST(Hostile, HealthIsQuickBeside200Streams) {
  TestServer test;
  constexpr size_t kStreams = 200;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(test.port()));
    clients.back()->send(get_request("/stream"));
  }
  ASSERT_TRUE(test.wait_held(kStreams));
  const double before = resident_megabytes();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int piece = 0; !stop; ++piece) {
      for (size_t i = 0; i < kStreams; ++i)
        test.held(i)->write("data: " + std::to_string(piece) + "\n\n");
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
  double slowest = 0;
  RawClient health(test.port());
  for (int i = 0; i < 40; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(health.ask(get_request("/health")).status, 200);
    slowest = std::max(slowest, seconds_since(begin));
    std::this_thread::sleep_for(milliseconds(10));
    for (size_t c = 0; c < kStreams; ++c) {
      while (clients[c]->read_more(0)) clients[c]->take_held();
    }
  }
  stop = true;
  writer.join();
  EXPECT_LT(slowest, allowed_seconds(0.2));
  EXPECT_LT(resident_megabytes(), before + allowed_growth(8));
  for (size_t i = 0; i < kStreams; ++i) EXPECT_FALSE(test.held(i)->gone());
}

}  // namespace
}  // namespace llm::http
