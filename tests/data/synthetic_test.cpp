#include "data/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

namespace llm {
namespace {

TEST(StoryCorpus, NoTwoDerivationsGiveTheSameText) {
  EXPECT_EQ(story_grammar().ambiguity(), std::nullopt);
}

TEST(StoryCorpus, TheAnalyticEntropyIsTheMeanOfMinusLogP) {
  StoryCorpus corpus(11);
  constexpr int kStories = 20000;
  double nats = 0, square = 0, words = 0, bytes = 0;
  for (int i = 0; i < kStories; ++i) {
    Story story = corpus.story(i);
    nats += story.nats / kStories;
    square += story.nats * story.nats / kStories;
    bytes += static_cast<double>(story.text.size()) / kStories;
    words +=
        static_cast<double>(1 + std::count(story.text.begin(), story.text.end(), ' ')) / kStories;
  }
  const GrammarMoments& expected = corpus.expected();
  EXPECT_NEAR(nats, expected.nats, 3 * std::sqrt(expected.nats_variance / kStories));
  EXPECT_NEAR(square - nats * nats, expected.nats_variance, 0.05 * expected.nats_variance);
  EXPECT_NEAR(words, expected.words, 0.05);
  EXPECT_NEAR(bytes, expected.bytes, 0.5);
}

TEST(StoryCorpus, EveryStoryParsesBackToItsOwnProbability) {
  StoryCorpus corpus(12);
  std::set<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    Story story = corpus.story(i);
    auto nats = corpus.nats_of(story.text);
    ASSERT_TRUE(nats) << story.text;
    ASSERT_NEAR(*nats, story.nats, 1e-9);
    texts.insert(story.text);
  }
  EXPECT_EQ(texts.size(), 3000u);
}

TEST(StoryCorpus, ATextWithAWrongReferenceIsImpossible) {
  StoryCorpus corpus(12);
  std::string text = corpus.story(0).text;
  for (const char* name : {"Mia", "Tom", "Zoe", "Leo", "Ada", "Ben", "Lily", "Karl"}) {
    size_t last = text.rfind(name);
    if (last != std::string::npos && last != text.find(name)) {
      text.replace(last, std::string(name).size(), "Nobody");
    }
  }
  EXPECT_NE(text, corpus.story(0).text);
  EXPECT_FALSE(corpus.nats_of(text));
  EXPECT_FALSE(corpus.nats_of(""));
  EXPECT_FALSE(corpus.nats_of(corpus.story(0).text + " "));
}

TEST(StoryCorpus, StoriesDependOnSeedAndIndexAlone) {
  StoryCorpus corpus(5);
  Story later = corpus.story(1000);
  EXPECT_EQ(later.text, StoryCorpus(5).story(1000).text);
  EXPECT_NE(later.text, StoryCorpus(6).story(1000).text);
  std::string text;
  auto stream = corpus.stream(1000, 2);
  ASSERT_TRUE(stream(text));
  EXPECT_EQ(text, later.text);
  ASSERT_TRUE(stream(text));
  EXPECT_FALSE(stream(text));
}

TEST(StoryCorpus, VocabularyAndEntropySuitASmallModel) {
  StoryCorpus corpus(1);
  std::set<std::string> words;
  for (int i = 0; i < 4000; ++i) {
    std::string text = corpus.story(i).text;
    std::erase_if(text, [](char c) { return c == '.' || c == ','; });
    std::istringstream in(text);
    for (std::string word; in >> word;) {
      words.insert(word);
    }
  }
  EXPECT_GE(words.size(), 200u);
  EXPECT_LE(words.size(), 320u);
  const GrammarMoments& expected = corpus.expected();
  EXPECT_GE(expected.nats / expected.words, 0.8);
  EXPECT_LE(expected.nats / expected.words, 2.0);
}

}  // namespace
}  // namespace llm
