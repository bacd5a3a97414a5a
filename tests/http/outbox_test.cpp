#include "serving/http/outbox.h"

#include <gtest/gtest.h>

#include "serving/http/reply.h"

namespace llm::http {
namespace {

const std::atomic<bool> kServing{false};

struct Line {
  int wakes = 0;
  std::shared_ptr<Outbox> outbox;
  explicit Line(bool http11 = true, bool head = false, size_t most = 1000) {
    outbox = std::make_shared<Outbox>(Outbox::Setup{http11, head, true, "id-1", most, &kServing},
                                      [this] { ++wakes; });
  }
};

std::string body_of(const std::string& all) { return all.substr(all.find("\r\n\r\n") + 4); }

TEST(Outbox, TheFirstAnswerWins) {
  Line line;
  EXPECT_TRUE(line.outbox->send(200, "text/plain", "first", {}));
  EXPECT_FALSE(line.outbox->send(200, "text/plain", "second", {}));
  EXPECT_FALSE(line.outbox->begin(200, "text/plain", {}));
  EXPECT_FALSE(line.outbox->write("x"));
  EXPECT_EQ(body_of(line.outbox->take()), "first");
  EXPECT_EQ(line.outbox->take(), "");
}

TEST(Outbox, HeadersCannotBeSplit) {
  Line line;
  line.outbox->send(200, "text/plain\r\nX-Evil: 1", "", {{"X-A", "b\r\n\r\nGET"}});
  const std::string text = line.outbox->take();
  EXPECT_EQ(text.find("\r\nX-Evil"), std::string::npos);
  EXPECT_NE(text.find("X-A: b    GET\r\n"), std::string::npos);
  EXPECT_EQ(text.find("\r\n\r\n"), text.size() - 4);
}

TEST(Outbox, AStreamIsChunkedForHttp11AndPlainForHttp10) {
  for (const bool http11 : {true, false}) {
    Line line(http11);
    EXPECT_FALSE(line.outbox->write("too early"));
    ASSERT_TRUE(line.outbox->begin(200, "text/plain", {}));
    EXPECT_TRUE(line.outbox->write("hello"));
    EXPECT_TRUE(line.outbox->write(""));  // would end a chunked body
    line.outbox->end();
    EXPECT_FALSE(line.outbox->write("too late"));
    const std::string text = line.outbox->take();
    EXPECT_EQ(text.find("Connection: close") != std::string::npos, !http11);
    EXPECT_EQ(body_of(text), http11 ? "5\r\nhello\r\n0\r\n\r\n" : "hello");
  }
}

TEST(Outbox, AHeadStreamHasNoBody) {
  Line line(true, true);
  line.outbox->begin(200, "text/plain", {});
  EXPECT_TRUE(line.outbox->write("hello"));
  line.outbox->end();
  EXPECT_EQ(body_of(line.outbox->take()), "");
}

TEST(Outbox, WakesOnceUntilItIsLookedAt) {
  Line line;
  line.outbox->begin(200, "", {});
  line.outbox->write("a");
  line.outbox->write("b");
  EXPECT_EQ(line.wakes, 1);
  line.outbox->take();
  line.outbox->write("c");
  EXPECT_EQ(line.wakes, 1);
  line.outbox->look();
  line.outbox->write("d");
  EXPECT_EQ(line.wakes, 2);
}

TEST(Outbox, IsFullWhileTooMuchIsUnsentAndTakesAllTheSame) {
  Line line;
  line.outbox->begin(200, "", {});
  line.outbox->written(line.outbox->take().size());
  EXPECT_TRUE(line.outbox->write(std::string(600, 'b')));
  EXPECT_FALSE(line.outbox->full());
  const size_t taken = line.outbox->take().size();  // being written still counts
  EXPECT_TRUE(line.outbox->write(std::string(10'000, 'c')));
  EXPECT_TRUE(line.outbox->full());
  EXPECT_TRUE(line.outbox->write("and what was under way"));
  EXPECT_FALSE(line.outbox->gone());
  line.outbox->written(taken);
  EXPECT_TRUE(line.outbox->full());
  line.outbox->written(line.outbox->take().size());
  EXPECT_FALSE(line.outbox->full());
}

TEST(Outbox, CloseIsToldOnceAndOnlyBeforeTheEnd) {
  int told = 0;
  {
    Line line;
    line.outbox->on_close([&] { ++told; });
    std::function<void()> callback;
    EXPECT_TRUE(line.outbox->leave(callback));
    callback();
    EXPECT_FALSE(line.outbox->leave(callback));
    EXPECT_EQ(told, 1);
    line.outbox->on_close([&] { ++told; });  // has left already: at once
    EXPECT_EQ(told, 2);
    EXPECT_FALSE(line.outbox->begin(200, "", {}));
    EXPECT_TRUE(line.outbox->send(200, "", "for a half-closed client", {}));
  }
  Line ended;
  ended.outbox->on_close([&] { ++told; });
  ended.outbox->send(200, "", "", {});
  std::function<void()> callback;
  EXPECT_FALSE(ended.outbox->leave(callback));
  ended.outbox->on_close([&] { ++told; });
  EXPECT_EQ(told, 2);
}

TEST(Outbox, ACallbackMayHoldItsReply) {
  Line line;
  std::weak_ptr<Reply> watch;
  {
    const auto reply = std::make_shared<Reply>(line.outbox);
    watch = reply;
    reply->on_close([reply] {});
    reply->send(200, "", "");
  }
  EXPECT_TRUE(watch.expired());
}

TEST(Outbox, ADroppedReplyIsAnsweredOrBreaksOff) {
  Line dropped;
  { Reply reply(dropped.outbox); }
  EXPECT_EQ(dropped.outbox->progress().status, 500);
  Line half;
  {
    Reply reply(half.outbox);
    reply.begin(200, "");
  }
  EXPECT_TRUE(half.outbox->progress().dropped);
  Line whole;
  {
    Reply reply(whole.outbox);
    reply.begin(200, "");
    reply.end();
  }
  EXPECT_FALSE(whole.outbox->progress().dropped);
}

TEST(Outbox, DetachedItAnswersNobodyAndWakesNobody) {
  Line line;
  line.outbox->begin(200, "", {});
  line.outbox->detach();
  const int wakes = line.wakes;
  EXPECT_FALSE(line.outbox->write("x"));
  line.outbox->end();
  EXPECT_TRUE(line.outbox->gone());
  EXPECT_EQ(line.wakes, wakes);
}

TEST(Outbox, PingsOnlyIntoSilence) {
  Line line;
  line.outbox->begin(200, "", {});
  line.outbox->ping(std::chrono::milliseconds(50), ": ping\n\n");
  const auto due = line.outbox->progress().ping_at;
  EXPECT_LE(due, Outbox::Clock::now() + std::chrono::milliseconds(50));
  line.outbox->send_ping(due);  // the head is not yet written: no ping on top of it
  EXPECT_EQ(body_of(line.outbox->take()), "");
  EXPECT_GT(line.outbox->progress().ping_at, due);
}

TEST(Outbox, DatesAreThoseOfTheRule) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(status_phrase(404), "Not Found");
  EXPECT_EQ(status_phrase(299), "Unknown");
}

}  // namespace
}  // namespace llm::http
