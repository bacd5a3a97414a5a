#include "serving/http/reply.h"

#include <gtest/gtest.h>

#include "tests/http/test_server.h"

namespace llm::http {
namespace {

TEST(Reply, AnExceptionAfterTheStartOfAStreamBreaksItOff) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/stream"));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->write("half");
  ASSERT_TRUE(client.read_until("half"));
  test.held(0)->send_exception(std::make_exception_ptr(HttpError(400, "x", "late")), "test");
  EXPECT_FALSE(client.read_answer().whole);
}

TEST(Reply, AnswersFromAnyThreadAndOnlyOnce) {
  TestServer test;
  RawClient client(test.port());
  for (int round = 0; round < 20; ++round) {
    client.send(get_request("/hold"));
    ASSERT_TRUE(test.wait_held(1));
    std::atomic<int> won{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back(
          [&, t] { won += test.held(0)->send_error(HttpError(400 + t, "", "thread")); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_GE(client.read_answer().status, 400);
    test.forget_held();
  }
  EXPECT_EQ(test.server->stats().requests, 20u);
}

TEST(Reply, ACallerIsNamedInTheExchange) {
  TestServer test;
  RawClient client(test.port());
  client.send(get_request("/hold"));
  ASSERT_TRUE(test.wait_held(1));
  test.held(0)->set_client("3f2a91bc");
  EXPECT_FALSE(test.held(0)->begun());
  test.held(0)->send_json(200, "{}");
  EXPECT_TRUE(test.held(0)->begun());
  EXPECT_EQ(client.read_answer().header("Content-Type"), "application/json");
  ASSERT_TRUE(soon([&] { return test.finished().size() == 1; }));
  EXPECT_EQ(test.finished()[0].client, "3f2a91bc");
}

}  // namespace
}  // namespace llm::http
