#include "serving/http/chunk_decoder.h"

#include <gtest/gtest.h>

namespace llm::http {
namespace {

using State = ChunkDecoder::State;

TEST(ChunkDecoder, StopsAtTheEndOfTheBodyWhereverItIsCut) {
  const std::string text = "3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    ChunkDecoder decoder(100);
    std::string body;
    EXPECT_EQ(decoder.feed(text.substr(0, cut), body), cut);
    EXPECT_EQ(decoder.feed(text.substr(cut) + "GET / ", body), text.size() - cut);
    EXPECT_EQ(decoder.state(), State::done) << cut;
    EXPECT_EQ(body, "abc0123456789");
  }
}

TEST(ChunkDecoder, AnEmptyBodyComesByteByByte) {
  ChunkDecoder decoder(0);
  std::string body;
  for (const char c : std::string("0\r\n\r\n")) {
    EXPECT_EQ(decoder.state(), State::more);
    EXPECT_EQ(decoder.feed({&c, 1}, body), 1u);
  }
  EXPECT_EQ(decoder.state(), State::done);
}

TEST(ChunkDecoder, TheDeclaredSizeCountsBeforeItsBytes) {
  for (const auto& [text, state] : {std::pair<std::string, State>{"a\r\n", State::more},
                                    {"b\r\n", State::too_large},
                                    {"ffffffffffffffff\r\n", State::too_large},
                                    {"00000000000000ff\r\n", State::too_large},
                                    {"000000000000000ff\r\n", State::bad},
                                    {"5\r\n12345\r\n5\r\n", State::more},
                                    {"5\r\n12345\r\n6\r\n", State::too_large}}) {
    ChunkDecoder decoder(10);
    std::string body;
    decoder.feed(text, body);
    EXPECT_EQ(decoder.state(), state) << text;
  }
}

TEST(ChunkDecoder, TrailersTogetherAreBounded) {
  ChunkDecoder decoder(10);
  std::string body, text = "0\r\n";
  for (int i = 0; i < 100; ++i) text += "X: " + std::string(100, 'a') + "\r\n";
  decoder.feed(text, body);
  EXPECT_EQ(decoder.state(), State::bad);
}

}  // namespace
}  // namespace llm::http
