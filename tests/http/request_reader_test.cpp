#include "serving/http/request_reader.h"

#include <gtest/gtest.h>

#include <optional>

namespace llm::http {
namespace {

using State = RequestReader::State;

struct Outcome {
  std::vector<Request> requests;
  std::optional<RequestReader::Refusal> refusal;
  State state = State::fresh;
};

/// Feeds the text in pieces of `piece` bytes.
Outcome read_all(const std::string& text, size_t piece = 1 << 20) {
  RequestReader reader(1024, 4096);
  Outcome outcome;
  for (size_t at = 0; at < text.size() && !outcome.refusal; at += piece) {
    std::string_view bytes = std::string_view(text).substr(at, piece);
    while (!bytes.empty()) {
      bytes.remove_prefix(reader.feed(bytes));
      if (reader.state() == State::complete) outcome.requests.push_back(reader.take());
      if (reader.state() == State::refused) {
        outcome.refusal = reader.refusal();
        break;
      }
    }
  }
  outcome.state = reader.state();
  return outcome;
}

int refused_with(const std::string& text) {
  const Outcome whole = read_all(text), split = read_all(text, 1);
  EXPECT_TRUE(whole.requests.empty()) << text.substr(0, 200);
  EXPECT_EQ(whole.refusal ? whole.refusal->status : 0, split.refusal ? split.refusal->status : 0)
      << text.substr(0, 200);
  return whole.refusal ? whole.refusal->status : 0;
}

const std::string kHost = "Host: x\r\n";

TEST(RequestReader, AnySplitGivesTheSameRequests) {
  const std::string text =
      "GET /a?b=1 HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\n"
      "\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=\"a b\"\r\nhello\r\n00A\r\n, world...\r\n0\r\nX-Late: 1\r\nContent-Length: 5\r\n\r\n"
      "POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
      "GET /e HTTP/1.0\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const Outcome outcome = read_all(text, piece);
    ASSERT_FALSE(outcome.refusal) << piece << ": " << outcome.refusal->message;
    ASSERT_EQ(outcome.requests.size(), 5u) << piece;
    EXPECT_EQ(outcome.requests[0].path, "/a");
    EXPECT_EQ(outcome.requests[0].query_value("b"), "1");
    EXPECT_EQ(outcome.requests[0].header("x-y"), "z");
    EXPECT_EQ(outcome.requests[1].body, "hello");
    EXPECT_EQ(outcome.requests[2].body, "hello, world...") << piece;
    EXPECT_EQ(outcome.requests[2].header("X-Late"), "");  // a trailer is no header
    EXPECT_EQ(outcome.requests[2].header("Content-Length"), "");
    EXPECT_EQ(outcome.requests[3].body, "");
    EXPECT_EQ(outcome.requests[4].path, "/e");
    EXPECT_EQ(outcome.state, State::fresh);
  }
}

TEST(RequestReader, RefusesWhatTwoProgramsCouldReadDifferently) {
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  for (const std::string& text : std::vector<std::string>{
           post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
           post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
           post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
           post + "Content-Length: 5, 6\r\n\r\n",
           post + "Content-Length: -1\r\n\r\n",
           post + "Content-Length: +5\r\n\r\n",
           post + "Content-Length: 0x5\r\n\r\n",
           post + "Content-Length: abc\r\n\r\n",
           post + "Content-Length: 18446744073709551616\r\n\r\n",
           post + "Content-Length:\r\n\r\n",
           post + "Transfer-Encoding: gzip, chunked\r\n\r\n",
           post + "Transfer-Encoding: chunked, chunked\r\n\r\n",
           post + "Transfer-Encoding: identity\r\n\r\n",
           post + "Transfer-Encoding: xchunked\r\n\r\n",
           post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
           post + "Transfer-Encoding : chunked\r\n\r\n",
           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
           post + "X-Fold: a\r\n b\r\n\r\n",
           post + "X-Fold: a\r\n\tb\r\n\r\n",
           post + " X-Fold: a\r\n\r\n",
           post + "Bad Name: a\r\n\r\n",
           post + ": a\r\n\r\n",
           post + "No-Colon\r\n\r\n",
           post + "X: a\nY: b\r\n\r\n",
           post + "X: a\rb\r\n\r\n",
           post + std::string("X: a\0b\r\n\r\n", 10),
           "GET / HTTP/1.1\nHost: x\n\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
           post + "Authorization: a\r\nAuthorization: b\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3,\r\n\r\nabc",
           "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /\r\nHost: x\r\n\r\n",
           "/ HTTP/1.1\r\nHost: x\r\n\r\n",
           "CONNECT host:443 HTTP/1.1\r\nHost: x\r\n\r\n",
           "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
           "\x16\x03\x01\x02",  // TLS
           "GET / HTTPS/1.1\r\nHost: x\r\n\r\n"}) {
    EXPECT_EQ(refused_with(text), 400) << text;
  }
  EXPECT_EQ(refused_with("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(refused_with(post + "Expect: 200-ok\r\n\r\n"), 417);
}

TEST(RequestReader, RefusesBadChunks) {
  const std::string chunked = "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& chunks : std::vector<std::string>{
           "-2\r\nab\r\n", "0x2\r\nab\r\n0\r\n\r\n", "g\r\n", "\r\n\r\n", " 2\r\nab\r\n",
           "2\nab\n0\n\n", "2\r\nabc\r\n0\r\n\r\n", "2;\r\nab\r\n", "2\r\nab\rx", "2\r\nab\r\n\r\n",
           "12345678901234567\r\n", "2 x\r\nab\r\n", std::string(5000, '0') + "\r\n",
           "2;a=" + std::string(5000, 'b') + "\r\n",
           "0\r\nX: " + std::string(5000, 'b') + "\r\n\r\n", "0\r\nBad Trailer: a\r\n\r\n"}) {
    EXPECT_EQ(refused_with(chunked + chunks), 400) << chunks.substr(0, 100);
  }
}

TEST(RequestReader, HeadersMayBeAsLongAsTheLimitSays) {
  constexpr size_t kMost = 16 << 10;
  const std::string start = "GET / HTTP/1.1\r\n" + kHost + "Cookie: ";
  for (const size_t size : {size_t{8191}, size_t{8193}, kMost - 1, kMost, kMost + 1}) {
    const std::string header = start + std::string(size - start.size() - 4, 'a') + "\r\n\r\n";
    ASSERT_EQ(header.size(), size);
    RequestReader reader(kMost, 4096);
    reader.feed(header);
    EXPECT_EQ(reader.state() == RequestReader::State::complete, size <= kMost) << size;
    if (size > kMost) {
      EXPECT_EQ(reader.refusal().status, 431);
    }
  }
}

TEST(RequestReader, SizesAreBoundedBeforeAnythingIsStored) {
  const std::string start = "GET / HTTP/1.1\r\n" + kHost;
  EXPECT_EQ(refused_with(start + "X: " + std::string(2000, 'a')), 431);
  EXPECT_EQ(refused_with(std::string(2000, 'G')), 431);
  std::string many = start;
  for (int i = 0; i < 1000; ++i) many += "A: b\r\n";
  EXPECT_EQ(refused_with(many + "\r\n"), 431);
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  EXPECT_EQ(refused_with(post + "Content-Length: 4097\r\n\r\n"), 413);
  EXPECT_EQ(refused_with(post + "Content-Length: 18446744073709551615\r\n\r\n"), 413);
  EXPECT_EQ(refused_with(post + "Transfer-Encoding: chunked\r\n\r\n1001\r\n"), 413);
  EXPECT_EQ(refused_with(post + "Transfer-Encoding: chunked\r\n\r\nfff\r\n" +
                         std::string(4095, 'a') + "\r\n2\r\nab\r\n0\r\n\r\n"),
            413);
  const Outcome most = read_all(post + "Content-Length: 4096\r\n\r\n" + std::string(4096, 'a'));
  ASSERT_EQ(most.requests.size(), 1u);
  EXPECT_EQ(most.requests[0].body.size(), 4096u);
}

TEST(RequestReader, SaysTheLimitAndTheReason) {
  const Outcome large = read_all("POST / HTTP/1.1\r\n" + kHost + "Content-Length: 9999\r\n\r\n");
  EXPECT_EQ(large.refusal->code, "body_too_large");
  EXPECT_EQ(large.refusal->message, "limit is 4096 bytes");
  EXPECT_EQ(read_all("GET / HTTP/1.1\r\n\r\n").refusal->message, "the Host header is missing");
}

TEST(RequestReader, KnowsWhoWantsToStayAndWhoWaits) {
  const auto reader_after = [](const std::string& text) {
    auto reader = std::make_unique<RequestReader>(1024, 1024);
    reader->feed(text);
    return reader;
  };
  EXPECT_TRUE(reader_after("GET / HTTP/1.1\r\nHost: x\r\n\r\n")->keep_alive());
  EXPECT_FALSE(
      reader_after("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n")->keep_alive());
  EXPECT_FALSE(reader_after("GET / HTTP/1.0\r\n\r\n")->keep_alive());
  EXPECT_TRUE(reader_after("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->keep_alive());
  const std::string expecting = kHost + "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_TRUE(reader_after("POST / HTTP/1.1\r\n" + expecting)->expects_continue());
  EXPECT_FALSE(reader_after("POST / HTTP/1.0\r\n" + expecting)->expects_continue());
  EXPECT_FALSE(reader_after("GET / HTTP/1.1\r\n" + kHost + "Expect: 100-continue\r\n\r\n")
                   ->expects_continue());
}

}  // namespace
}  // namespace llm::http
