#include "serving/http/sse.h"

#include <gtest/gtest.h>

#include "tests/http/test_server.h"

namespace llm::http {
namespace {

TEST(Sse, EachLineOfAnEventIsData) {
  EXPECT_EQ(sse_event("{\"a\":1}"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(sse_event("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
  EXPECT_EQ(sse_event(""), "data: \n\n");
  EXPECT_EQ(sse_event("x", "frame"), "event: frame\ndata: x\n\n");
  EXPECT_EQ(sse_event("a\xFF\xC3"), "data: a\xEF\xBF\xBD\xEF\xBF\xBD\n\n");
}

/// One stream, told what to do.
RawAnswer stream(const std::function<void(SseStream&)>& act) {
  TestServer test;
  test.router.add({"GET", "/sse", Scope::open,
                   [&](const Request&, const ReplyPtr& reply) {
                     SseStream events(reply);
                     act(events);
                   },
                   true, ""});
  RawClient client(test.port());
  return client.ask(get_request("/sse"));
}

TEST(Sse, AStreamEndsWithDone) {
  const RawAnswer answer = stream([](SseStream& events) {
    EXPECT_FALSE(events.event("too early"));
    EXPECT_TRUE(events.begin());
    EXPECT_TRUE(events.event("1"));
    events.done();
    EXPECT_FALSE(events.event("too late"));
  });
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(answer.header("Cache-Control"), "no-cache");
  EXPECT_EQ(answer.header("X-Accel-Buffering"), "no");
  EXPECT_EQ(answer.body, "data: 1\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(answer.whole);
}

TEST(Sse, AFailureBeforeTheStreamIsAPlainAnswerAndAfterwardsAnEvent) {
  const HttpError error(503, "unavailable", "server is shutting down");
  const RawAnswer plain = stream([&](SseStream& events) { events.fail(error); });
  EXPECT_EQ(plain.status, 503);
  EXPECT_EQ(plain.body, error_body(error));
  const RawAnswer late = stream([&](SseStream& events) {
    events.begin();
    events.event("1");
    events.fail(error);
  });
  EXPECT_EQ(late.status, 200);
  EXPECT_EQ(late.body, "data: 1\n\ndata: " + error_body(error) + "\n\n");
  EXPECT_TRUE(late.whole);
}

TEST(Sse, SilenceIsBrokenByComments) {
  TestServer test;
  test.router.add({"GET", "/sse", Scope::open,
                   [&](const Request&, const ReplyPtr& reply) {
                     SseStream(reply, std::chrono::milliseconds(30)).begin();
                     const std::lock_guard lock(test.mutex);
                     test.replies.push_back(reply);
                   },
                   true, ""});
  RawClient client(test.port());
  client.send(get_request("/sse"));
  ASSERT_TRUE(test.wait_held(1));
  EXPECT_TRUE(client.read_until(": ping\n\n"));
  SseStream(test.held(0)).done();
  EXPECT_TRUE(client.read_answer().body.ends_with("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace llm::http
