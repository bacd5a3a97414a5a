#include "serving/stopping.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"

namespace llm {
namespace {

struct Streamed {
  std::vector<std::string> pieces;
  std::string text;
  bool stopped = false;
};

Streamed stream(const std::vector<std::string>& tokens, std::vector<std::string> stops = {}) {
  TextStreamer streamer(std::move(stops));
  Streamed result;
  for (const std::string& token : tokens) {
    result.pieces.push_back(streamer.feed(token));
    if (streamer.stopped()) break;
  }
  result.pieces.push_back(streamer.finish());
  for (const std::string& piece : result.pieces) result.text += piece;
  result.stopped = streamer.stopped();
  return result;
}

/// The text where the first `blind` tokens must not stop it.
std::string stream_after(size_t blind, const std::vector<std::string>& tokens,
                         std::vector<std::string> stops) {
  TextStreamer streamer(std::move(stops));
  std::string text;
  for (size_t i = 0; i < tokens.size() && !streamer.stopped(); ++i)
    text += streamer.feed(tokens[i], i >= blind);
  return text + streamer.finish();
}

TEST(TextStreamer, AStopStringThatIsWholeTooEarlyIsText) {
  const std::vector<std::string> tokens = {"x", "ab", "y", "a", "b", "z"};
  EXPECT_EQ(stream_after(0, tokens, {"ab"}), "x");
  EXPECT_EQ(stream_after(1, tokens, {"ab"}), "x");
  EXPECT_EQ(stream_after(2, tokens, {"ab"}), "xaby");
  EXPECT_EQ(stream_after(4, tokens, {"ab"}), "xaby");  // it begins too early and ends in time
  EXPECT_EQ(stream_after(5, tokens, {"ab"}), "xabyabz");
  // What waits for the end of a longer one may hold a shorter one that was whole before.
  EXPECT_EQ(stream_after(1, {"xab", "z"}, {"xaby", "ab"}), "xabz");
  EXPECT_EQ(stream_after(1, {"xab", "y"}, {"xaby", "ab"}), "");
}

TEST(TextStreamer, AnEmojiSplitOverTokensAppearsWhole) {
  const Streamed result = stream({"a", "\xf0", "\x9f\x98", "\x80", "b"});
  EXPECT_EQ(result.pieces, (std::vector<std::string>{"a", "", "", "\xf0\x9f\x98\x80", "b", ""}));
}

TEST(TextStreamer, AnUnfinishedCharacterAtTheEndBecomesAReplacement) {
  const Streamed result = stream({"a\xf0\x9f"});
  EXPECT_EQ(result.pieces, (std::vector<std::string>{"a", "\xef\xbf\xbd"}));
}

TEST(TextStreamer, BytesThatAreNeverUtf8AreReplacedAtOnce) {
  EXPECT_EQ(stream({"a\xff", "b"}).text,
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(stream({"\xf0\x9f", "b"}).text,
            "\xef\xbf\xbd"
            "b");
}

TEST(TextStreamer, EveryPieceIsValidUtf8AndTheirSumIsTheFinalText) {
  Random random(17);
  const std::string text = "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80 \xff\xc3 \xed\xa0\x80 end";
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> tokens;
    for (size_t at = 0; at < text.size();) {
      const size_t length = std::min<size_t>(1 + random.below(4), text.size() - at);
      tokens.push_back(text.substr(at, length));
      at += length;
    }
    const Streamed result = stream(tokens, {"never", "\xf0\x9f\x98\x81"});
    for (const std::string& piece : result.pieces) EXPECT_TRUE(utf8::is_valid(piece));
    EXPECT_EQ(result.text, utf8::replace_invalid(text));
  }
}

TEST(TextStreamer, AStopStringAcrossTokensCutsTheTextAndIsNeverShown) {
  const Streamed result = stream({"one ", "E", "N", "D two"}, {"END"});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.pieces, (std::vector<std::string>{"one ", "", "", "", ""}));
  EXPECT_EQ(result.text, "one ");
}

TEST(TextStreamer, APartialMatchThatComesToNothingIsShownLater) {
  const Streamed result = stream({"E", "N", "x", "EN"}, {"END"});
  EXPECT_FALSE(result.stopped);
  EXPECT_EQ(result.pieces, (std::vector<std::string>{"", "", "ENx", "", "EN"}));
}

TEST(TextStreamer, TheEarliestOfSeveralStopStringsWins) {
  EXPECT_EQ(stream({"abcdef"}, {"ef", "cd"}).text, "ab");
  EXPECT_EQ(stream({"aab"}, {"ab"}).text, "a");
  EXPECT_EQ(stream({"a", "a", "b"}, {"ab"}).text, "a");
}

TEST(TextStreamer, StopStringsMayCutInsideAToken) {
  const Streamed result = stream({"hello\n\nworld"}, {"\n\n"});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.text, "hello");
}

TEST(TextStreamer, StopStringsMayBePartOfACharactersBytes) {
  // A stop string that is a whole emoji whose bytes arrive one at a time.
  const Streamed result = stream({"a", "\xf0", "\x9f", "\x98", "\x80", "b"}, {"\xf0\x9f\x98\x80"});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.text, "a");
}

FrozenGenerationConfig frozen(const std::function<void(GenerationConfig&)>& change) {
  GenerationConfig config;
  config.max_new_tokens = 5;
  config.eos_token_id = {2, 3};
  change(config);
  return freeze(config, {.vocab_size = 10});
}

TEST(StoppingCriteria, EachOfSeveralEosIdsStops) {
  const StoppingCriteria criteria(frozen([](auto&) {}));
  EXPECT_EQ(criteria.after_token(2, 1), FinishReason::stop);
  EXPECT_EQ(criteria.after_token(3, 1), FinishReason::stop);
  EXPECT_EQ(criteria.after_token(4, 1), FinishReason::none);
}

TEST(StoppingCriteria, TheLengthStopsAndTheEndOfTextComesFirst) {
  const StoppingCriteria criteria(frozen([](auto&) {}));
  EXPECT_EQ(criteria.after_token(4, 4), FinishReason::none);
  EXPECT_EQ(criteria.after_token(4, 5), FinishReason::length);
  EXPECT_EQ(criteria.after_token(2, 5), FinishReason::stop);
}

TEST(StoppingCriteria, IgnoreEosLeavesOnlyTheLength) {
  const StoppingCriteria criteria(frozen([](auto& c) { c.ignore_eos = true; }));
  EXPECT_EQ(criteria.after_token(2, 1), FinishReason::none);
  EXPECT_EQ(criteria.after_token(2, 5), FinishReason::length);
}

TEST(StoppingCriteria, MinNewTokensAboveTheMaximumStillStops) {
  const StoppingCriteria criteria(frozen([](auto& c) { c.min_new_tokens = 50; }));
  EXPECT_EQ(criteria.after_token(4, 5), FinishReason::length);
}

TEST(StoppingCriteria, ReasonsHaveTheirNames) {
  EXPECT_EQ(finish_reason_name(FinishReason::stop), "stop");
  EXPECT_EQ(finish_reason_name(FinishReason::length), "length");
  EXPECT_EQ(finish_reason_name(FinishReason::stop_string), "stop_string");
  EXPECT_EQ(finish_reason_name(FinishReason::cancelled), "cancelled");
}

}  // namespace
}  // namespace llm
