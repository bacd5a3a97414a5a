// What was not used for the longest time goes first.
#include "serving/constraint/lru_cache.h"

#include <gtest/gtest.h>

namespace llm::constraint {
namespace {

TEST(LruCache, ForgetsTheOneUnusedForLongest) {
  LruCache<std::vector<uint32_t>, int, WordsHash> cache(2);
  cache.insert({1}, 10);
  cache.insert({2}, 20);
  EXPECT_EQ(*cache.find({1}), 10);
  cache.insert({3}, 30);
  EXPECT_EQ(cache.find({2}), nullptr);
  EXPECT_EQ(*cache.find({1}), 10);
  EXPECT_EQ(*cache.find({3}), 30);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(LruCache, TheFirstValueStaysAndNoRoomKeepsNothing) {
  LruCache<std::vector<uint32_t>, int, WordsHash> cache(1), none(0);
  cache.insert({1}, 10);
  cache.insert({1}, 11);
  EXPECT_EQ(*cache.find({1}), 10);
  none.insert({1}, 10);
  EXPECT_EQ(none.find({1}), nullptr);
}

}  // namespace
}  // namespace llm::constraint
