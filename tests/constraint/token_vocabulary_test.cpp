// The prefix tree of a vocabulary.
#include "serving/constraint/token_vocabulary.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(TokenVocabulary, EveryTokenStandsAtItsPrefixAndBranchesSkipWhatIsBelow) {
  const std::vector<std::string> tokens = {"ab",  "", "a", "abc", "b", "ab", std::string("\0x", 2),
                                           "</s>"};
  const int32_t end = 7;
  const TokenVocabulary vocabulary(tokens, std::span(&end, 1));
  std::map<std::string, std::vector<int32_t>> found;
  std::string path;
  for (size_t i = 0; i < vocabulary.tree().size(); ++i) {
    const auto& branch = vocabulary.tree()[i];
    ASSERT_LE(branch.depth, path.size() + 1);
    path.resize(branch.depth - 1);
    path += static_cast<char>(branch.byte);
    for (const int32_t id : vocabulary.tokens_at(i)) found[path].push_back(id);
    ASSERT_GT(branch.after, i);
    for (size_t below = i + 1; below < branch.after; ++below) {
      ASSERT_GT(vocabulary.tree()[below].depth, branch.depth);
    }
    if (branch.after < vocabulary.tree().size()) {
      EXPECT_LE(vocabulary.tree()[branch.after].depth, branch.depth);
    }
  }
  const std::map<std::string, std::vector<int32_t>> expected = {
      {"a", {2}}, {"ab", {0, 5}}, {"abc", {3}}, {"b", {4}}, {std::string("\0x", 2), {6}}};
  EXPECT_EQ(found, expected);
  EXPECT_EQ(vocabulary.longest_token_bytes(), 3u);
  EXPECT_EQ(vocabulary.bytes(7), "");
  EXPECT_TRUE(vocabulary.is_end(7));
  EXPECT_FALSE(vocabulary.is_end(1));
}

TEST(TokenVocabulary, AnEndOutsideTheVocabularyIsRefused) {
  const std::vector<std::string> tokens = {"a"};
  const int32_t end = 1;
  expect_error([&] { TokenVocabulary(tokens, std::span(&end, 1)); }, Exit::usage,
               "constraint: end id 1 is not in a vocabulary of 1");
}

TEST(TokenVocabulary, AVocabularyWithoutTextHasNoBranches) {
  const std::vector<std::string> tokens = {"", ""};
  const TokenVocabulary vocabulary(tokens, {});
  EXPECT_EQ(vocabulary.tree().size(), 0u);
  EXPECT_EQ(vocabulary.mask_words(), 1u);
}

}  // namespace
}  // namespace llm
