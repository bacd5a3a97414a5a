// The server's seed: what requests draw from that bring none of their own.
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

const Json kSampled = {{"prompt", "ab"}, {"max_tokens", 12}, {"temperature", 1}};

Served server_of(int64_t seed) {
  return Served({}, [seed](auto& options, auto&) { options.seed = seed; });
}

/// The answers of a fresh server to requests that differ in nothing.
std::vector<std::string> texts_of(int64_t seed, const Json& body, int count = 3) {
  const Served api = server_of(seed);
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i)
    texts.push_back(api.post("/v1/completions", body)["choices"].dump());
  return texts;
}

TEST(ServerSeed, TheSameRequestsAfterARestartGetTheSameTexts) {
  const auto seven = texts_of(7, kSampled);
  EXPECT_EQ(texts_of(7, kSampled), seven);
  EXPECT_NE(seven[0], seven[1]);  // but each draws anew
  EXPECT_NE(seven[1], seven[2]);
  EXPECT_NE(texts_of(8, kSampled), seven);
  EXPECT_NE(texts_of(-1, kSampled), texts_of(-1, kSampled));
  const auto minus = texts_of(7, with(kSampled, {{"seed", -1}}));
  EXPECT_EQ(minus, seven);  // the spelling of none
}

TEST(ServerSeed, ARequestsOwnSeedIsTheStronger) {
  const Json own = with(kSampled, {{"seed", 3}});
  EXPECT_EQ(texts_of(7, own), texts_of(8, own));
}

TEST(ServerSeed, GreedyAnswersDrawNothing) {
  const Served api = server_of(7);
  for (int i = 0; i < 3; ++i)
    api.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 2 + i}, {"temperature", 0}});
  api.post("/predict", {{"text", "ab"}});
  EXPECT_EQ(api.post("/v1/completions", kSampled)["choices"].dump(), texts_of(7, kSampled, 1)[0]);
}

}  // namespace
}  // namespace llm::test
