#include "tokenizer/byte_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/random.h"
#include "tokenizer/piece_index.h"

namespace llm {
namespace {

TEST(ByteTrie, FindsTheLongestPrefix) {
  const ByteTrie trie({{"a", 1}, {"abc", 2}, {"b", 3}, {"\xFF\x01", 4}});
  EXPECT_EQ(trie.longest_prefix("abx").length, 1u);
  EXPECT_EQ(trie.longest_prefix("abcd").value, 2);
  EXPECT_EQ(trie.longest_prefix("\xFF\x01").value, 4);
  EXPECT_EQ(trie.longest_prefix("\xFF").length, 0u);
  EXPECT_EQ(trie.longest_prefix("").length, 0u);
  EXPECT_EQ(ByteTrie().longest_prefix("a").length, 0u);
}

TEST(ByteTrie, OfEqualTextsTheSmallestValueStays) {
  EXPECT_EQ(ByteTrie({{"ab", 7}, {"ab", 3}, {"ab", 9}}).longest_prefix("abc").value, 3);
}

TEST(ByteTrie, HoldsExactlyWhatWasPutIn) {
  Random random(6);
  std::map<std::string, int32_t> reference;
  for (int32_t i = 0; i < 2'000; ++i) {
    std::string text(1 + random.below(6), '\0');
    for (char& byte : text)
      byte = static_cast<char>(random.below(5) + (random.below(9) == 0 ? 200 : 0));
    reference.emplace(text, i);
  }
  std::vector<ByteTrie::Entry> entries(reference.begin(), reference.end());
  const ByteTrie trie(std::move(entries));
  PieceIndex index(reference.size());
  for (const auto& [text, value] : reference) EXPECT_EQ(index.insert(text, value), -1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(1 + random.below(8), '\0');
    for (char& byte : text)
      byte = static_cast<char>(random.below(5) + (random.below(9) == 0 ? 200 : 0));
    size_t longest = 0;
    for (size_t length = 1; length <= text.size(); ++length)
      longest = reference.contains(text.substr(0, length)) ? length : longest;
    const auto match = trie.longest_prefix(text);
    ASSERT_EQ(match.length, longest);
    if (longest > 0) {
      ASSERT_EQ(match.value, reference.at(text.substr(0, longest)));
    }
    ASSERT_EQ(index.find(text), reference.contains(text) ? reference.at(text) : -1);
  }
}

TEST(PieceIndex, KeepsTheFirstIdOfAText) {
  PieceIndex index(2);
  EXPECT_EQ(index.insert("one", 5), -1);
  EXPECT_EQ(index.insert("one", 6), 5);
  EXPECT_EQ(index.find("one"), 5);
  EXPECT_EQ(index.find("on"), -1);
  EXPECT_EQ(index.find(""), -1);
  EXPECT_EQ(PieceIndex().find("one"), -1);
}

TEST(PieceIndex, TellsTextsApartThatDifferInOneByte) {
  std::vector<std::string> texts;
  for (size_t length = 1; length < 40; ++length) {
    for (size_t at = 0; at < length; ++at) {
      texts.emplace_back(length, 'x');
      texts.back()[at] = 'y';
    }
  }
  PieceIndex index(texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    ASSERT_EQ(index.insert(texts[i], static_cast<int32_t>(i)), -1);
  for (size_t i = 0; i < texts.size(); ++i)
    ASSERT_EQ(index.find(texts[i]), static_cast<int32_t>(i));
}

}  // namespace
}  // namespace llm
