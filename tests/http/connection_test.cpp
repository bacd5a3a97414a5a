#include "serving/http/connection.h"

#include <gtest/gtest.h>

#include "tests/http/test_server.h"

namespace llm::http {
namespace {

TEST(Connection, PipelinedRequestsAreAnsweredInOrder) {
  TestServer test;
  RawClient client(test.port());
  std::string all;
  for (int i = 0; i < 20; ++i) all += post_request("/echo", std::to_string(i));
  client.send(all + get_request("/worker/last"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.read_answer().body, std::to_string(i));
  EXPECT_EQ(client.read_answer().body, "last");
}

TEST(Connection, ARequestBehindASlowOneWaitsForIt) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/hold") + get_request("/health"));
  ASSERT_TRUE(test.wait_held(1));
  EXPECT_FALSE(client.read_more(0.05));
  test.held(0)->send(200, "text/plain", "first");
  EXPECT_EQ(client.read_answer().body, "first");
  EXPECT_EQ(client.read_answer().body, "ok");
}

TEST(Connection, RequestsMayComeByteByByte) {
  TestServer test;
  RawClient client(test.port());
  for (const char c : post_request("/echo", "hello")) client.send({&c, 1});
  EXPECT_EQ(client.read_answer().body, "hello");
}

TEST(Connection, LargeBodiesGoBothWays) {
  TestServer test;
  RawClient client(test.port());
  std::string body(10 << 20, 'a');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>('a' + i % 26);
  const RawAnswer answer = client.ask(post_request("/echo", body), 20);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body == body);
}

TEST(Connection, ALeavingClientIsNoticedWhileNothingIsWritten) {
  TestServer test;
  for (const bool reset : {false, true}) {
    for (const char* path : {"/hold", "/stream"}) {
      const int before = test.closed;
      RawClient client(test.port());
      client.send(get_request(path));
      ASSERT_TRUE(test.wait_held(1));
      reset ? client.reset() : client.close();
      EXPECT_TRUE(soon([&] { return test.closed == before + 1; })) << path << reset;
      EXPECT_TRUE(test.held(0)->gone());
      EXPECT_FALSE(test.held(0)->write("x"));
      test.forget_held();
      EXPECT_TRUE(soon([&] { return test.server->stats().open == 0; })) << path << reset;
      EXPECT_EQ(test.closed, before + 1);
    }
  }
  EXPECT_EQ(test.server->stats().abandoned, 4u);
  std::vector<int> statuses;
  for (const Exchange& exchange : test.finished()) {
    EXPECT_FALSE(exchange.complete);
    statuses.push_back(exchange.status);
  }
  EXPECT_EQ(statuses, (std::vector{499, 200, 499, 200}));  // no answer, a stream that had begun
}

TEST(Connection, ALeavingClientIsNoticedBehindAFullPipeline) {
  Limits limits;
  limits.pipelined_bytes = 100;
  TestServer test(limits);
  RawClient client(test.port());
  client.send(get_request("/hold") + std::string(1000, 'x'));
  ASSERT_TRUE(test.wait_held(1));
  client.close();
  EXPECT_TRUE(soon([&] { return test.closed == 1; }));
}

TEST(Connection, AHalfClosedClientStillGetsItsAnswer) {
  TestServer test;
  {
    RawClient client(test.port());
    client.send(get_request("/health"));
    client.close_sending_half();
    EXPECT_EQ(client.read_answer().body, "ok");
    EXPECT_EQ(client.read_to_end(), "");
  }
  {
    RawClient client(test.port());
    client.send(get_request("/worker/a") + get_request("/worker/b") + get_request("/health"));
    client.close_sending_half();
    EXPECT_EQ(client.read_answer().body, "a");
    EXPECT_EQ(client.read_answer().body, "b");
    EXPECT_EQ(client.read_answer().body, "ok");
    EXPECT_EQ(client.read_to_end(), "");
  }
  RawClient waiting(test.port());
  waiting.send(get_request("/hold"));
  ASSERT_TRUE(test.wait_held(1));
  waiting.close_sending_half();
  ASSERT_TRUE(soon([&] { return test.closed == 1; }));  // it may have left altogether
  EXPECT_TRUE(test.held(0)->send(200, "text/plain", "late"));
  EXPECT_EQ(waiting.read_answer().body, "late");
  EXPECT_EQ(waiting.read_to_end(), "");
}

TEST(Connection, AHalfClosedClientWhoseWorkIsDroppedIsToldWhy) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/hold"));
  ASSERT_TRUE(test.wait_held(1));
  client.close_sending_half();
  ASSERT_TRUE(soon([&] { return test.closed == 1; }));
  test.forget_held();
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 499);
  EXPECT_NE(answer.head.find("Client Closed Request"), std::string::npos);
  EXPECT_NE(answer.body.find("\"client_closed_request\""), std::string::npos);
  EXPECT_EQ(client.read_to_end(), "");
  ASSERT_TRUE(soon([&] { return test.finished().size() == 1; }));
  EXPECT_EQ(test.finished()[0].status, 499);
  EXPECT_FALSE(test.finished()[0].complete);
}

TEST(Connection, AHalfSentRequestThatEndsIsForgotten) {
  TestServer test;
  for (const char* text :
       {"GET / HT", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"}) {
    RawClient client(test.port());
    client.send(text);
    client.close_sending_half();
    EXPECT_EQ(client.read_to_end(), "") << text;
  }
  EXPECT_EQ(test.server->stats().requests, 0u);
}

TEST(Connection, AStreamArrivesPieceByPieceAndTheConnectionStays) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_TRUE(test.held(0)->write("data: 1\n\n"));
  EXPECT_TRUE(client.read_until("data: 1\n\n"));  // before the second is written
  EXPECT_TRUE(test.held(0)->write("data: 2\n\n"));
  test.held(0)->end();
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(answer.body, "data: 1\n\ndata: 2\n\n");
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(client.ask(get_request("/health")).body, "ok");
  EXPECT_EQ(test.closed, 0);
}

TEST(Connection, ADroppedStreamBreaksOff) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->write("data: 1\n\n");
  ASSERT_TRUE(client.read_until("data: 1"));
  test.forget_held();
  EXPECT_EQ(client.read_answer().whole, false);
}

TEST(Connection, ASilentStreamIsPinged) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->ping_after(std::chrono::milliseconds(40), ": ping\n\n");
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(client.read_until(": ping\n\n\r\n8\r\n: ping\n\n"));
  EXPECT_GT(seconds_since(begin), 0.07);
  test.held(0)->end();
  EXPECT_TRUE(client.read_answer().whole);
}

TEST(Connection, WritersOnManyThreadsShareOneIoThread) {
  TestServer test;
  constexpr int kStreams = 20, kPieces = 200;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(test.port()));
    clients.back()->send(get_request("/stream"));
  }
  ASSERT_TRUE(test.wait_held(kStreams));
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int piece = 0; piece < kPieces; ++piece) {
        for (int i = w; i < kStreams; i += 4) {
          test.held(static_cast<size_t>(i))->write(std::to_string(piece) + ",");
        }
      }
      for (int i = w; i < kStreams; i += 4) test.held(static_cast<size_t>(i))->end();
    });
  }
  std::string expected;
  for (int piece = 0; piece < kPieces; ++piece) expected += std::to_string(piece) + ",";
  for (auto& client : clients) EXPECT_EQ(client->read_answer().body, expected);
  for (std::thread& writer : writers) writer.join();
}

TEST(Connection, DrainingLetsRunningAnswersEndAndAnswersOthersOnce) {
  TestServer test;
  RawClient idle(test.port()), silent(test.port()), untouched(test.port()), busy(test.port());
  EXPECT_EQ(idle.ask(get_request("/health")).status, 200);
  EXPECT_EQ(silent.ask(get_request("/health")).status, 200);
  busy.send(get_request("/stream") + get_request("/health"));
  ASSERT_TRUE(test.wait_held(1));
  std::atomic<bool> drained{false};
  std::thread drainer([&] { drained = test.server->drain(std::chrono::seconds(20)); });
  ASSERT_TRUE(soon([&] { return test.server->draining(); }));
  RawClient late(test.port()), slow(test.port());
  for (RawClient* one : {&idle, &late}) {
    const RawAnswer answer = one->ask(get_request("/health") + get_request("/health"));
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.header("Connection"), "close");
    EXPECT_EQ(one->read_to_end(), "");  // once
  }
  slow.send("GET /health HTTP/1.1\r\nHo");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the bytes to be read
  EXPECT_TRUE(test.held(0)->write("still here"));
  EXPECT_FALSE(drained);
  const auto end = std::chrono::steady_clock::now();
  test.held(0)->end();
  drainer.join();
  EXPECT_TRUE(drained);
  EXPECT_LT(seconds_since(end), 2);  // neither who says nothing nor who has only begun holds it up
  EXPECT_EQ(busy.read_answer().body, "still here");
  for (RawClient* one : {&busy, &silent, &untouched, &slow}) EXPECT_EQ(one->read_to_end(), "");
  EXPECT_FALSE(RawClient(test.port()).connected());
  EXPECT_EQ(test.closed, 0);
}

TEST(Connection, ADrainWithoutRunningAnswersEndsAtOnce) {
  TestServer test;
  RawClient idle(test.port()), untouched(test.port());
  EXPECT_EQ(idle.ask(get_request("/health")).status, 200);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(test.server->drain(std::chrono::seconds(20)));
  EXPECT_LT(seconds_since(begin), 2);
  EXPECT_EQ(test.server->stats().open, 0);
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_EQ(untouched.read_to_end(), "");
  EXPECT_FALSE(RawClient(test.port()).connected());
}

TEST(Connection, ARequestThatComesDuringDrainSeesIt) {
  TestServer test;
  RawClient client(test.port());
  client.send("GET /health HTTP/1.1\r\nHo");
  ASSERT_TRUE(soon([&] { return test.server->stats().open == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the bytes to be read
  std::thread drainer([&] { EXPECT_TRUE(test.server->drain(std::chrono::seconds(10))); });
  ASSERT_TRUE(soon([&] { return test.server->draining(); }));
  client.send("st: x\r\n\r\n");
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("Connection"), "close");
  drainer.join();
}

TEST(Connection, ADrainThatTakesTooLongSaysSoAndStopEndsIt) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(test.server->drain(std::chrono::milliseconds(100)));
  EXPECT_GE(seconds_since(begin), 0.1);
  EXPECT_EQ(test.closed, 0);
  test.server->stop();
  EXPECT_EQ(test.closed, 1);
  EXPECT_FALSE(client.read_answer().whole);
  EXPECT_FALSE(test.held(0)->write("nobody"));
  EXPECT_LT(seconds_since(begin), 3);
}

TEST(Connection, RepliesMayOutliveTheServer) {
  ReplyPtr reply;
  {
    TestServer test;
    RawClient client(test.port());
    client.send(get_request("/stream"));
    ASSERT_TRUE(test.wait_held(1));
    reply = test.held(0);
  }
  EXPECT_FALSE(reply->write("x"));
  reply->end();
  EXPECT_TRUE(reply->gone());
}

}  // namespace
}  // namespace llm::http
