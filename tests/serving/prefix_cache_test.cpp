#include "serving/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace llm {
namespace {

std::vector<int32_t> counting(int32_t first, size_t count) {
  std::vector<int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

struct Cache {
  explicit Cache(int64_t blocks)
      : pool(std::make_shared<KvPool>(KvShape{.layers = 1, .heads = 1, .head_dim = 2},
                                      KvPoolOptions{.max_blocks = blocks})),
        prefixes(pool) {}
  /// A request that reads `tokens` and ends.
  std::vector<int32_t> read(const std::vector<int32_t>& tokens, const std::string& salt = {}) {
    KvBlocks blocks(pool, 0, prefixes.find(tokens, salt));
    EXPECT_TRUE(blocks.reserve(static_cast<int64_t>(blocks.ids().size()) * kKvBlockTokens,
                               std::ssize(tokens)));
    prefixes.insert(tokens, blocks.ids(), salt);
    return {blocks.ids().begin(), blocks.ids().end()};
  }
  std::shared_ptr<KvPool> pool;
  PrefixCache prefixes;
};

TEST(PrefixCache, FindsTheLongestBeginningButNeverAll) {
  Cache cache(20);
  const auto tokens = counting(0, 100);
  const auto blocks = cache.read(tokens);
  EXPECT_EQ(cache.prefixes.blocks(), 3);
  EXPECT_EQ(cache.pool->used_blocks(), 3);  // the last, partial block is not kept
  EXPECT_EQ(cache.prefixes.find(tokens), (std::vector<int32_t>{blocks.begin(), blocks.end() - 1}));
  EXPECT_EQ(cache.prefixes.find(counting(0, 64)).size(), 1u);  // of 64 tokens one must be read
  EXPECT_EQ(cache.prefixes.find(counting(0, 65)).size(), 2u);
  auto other = tokens;
  other[40] = -5;
  EXPECT_EQ(cache.prefixes.find(other).size(), 1u);
  EXPECT_TRUE(cache.prefixes.find(counting(1, 100)).empty());
}

TEST(PrefixCache, BranchesShareWhatTheyHaveInCommon) {
  Cache cache(20);
  auto left = counting(0, 97), right = left;
  right[70] = 1000;
  const auto a = cache.read(left), b = cache.read(right);
  EXPECT_EQ(cache.prefixes.blocks(), 4);
  EXPECT_EQ(a[0], b[0]);
  EXPECT_EQ(a[1], b[1]);
  EXPECT_NE(a[2], b[2]);
}

TEST(PrefixCache, OfTwoEqualBlocksTheOneInUseStays) {
  Cache cache(20);
  const auto tokens = counting(0, 64);
  cache.read(tokens);  // a request that has ended
  KvBlocks own(cache.pool, 0);
  ASSERT_TRUE(own.reserve(0, 64));  // another that computed the same beside it
  EXPECT_EQ(cache.pool->used_blocks(), 4);
  cache.prefixes.insert(tokens, own.ids());
  EXPECT_EQ(cache.pool->used_blocks(), 2);
  EXPECT_EQ(cache.prefixes.blocks(), 2);
  EXPECT_EQ(cache.prefixes.find(counting(0, 65)),
            (std::vector<int32_t>{own.ids().begin(), own.ids().end()}));
}

TEST(PrefixCache, LetsTheLeastRecentlyUsedLeavesGoFirst) {
  Cache cache(6);
  cache.read(counting(0, 65));
  cache.read(counting(1000, 65));
  cache.prefixes.find(counting(0, 65));  // used again
  EXPECT_EQ(cache.pool->free_blocks(), 2);
  EXPECT_TRUE(cache.prefixes.evict(3));
  EXPECT_EQ(cache.prefixes.find(counting(1000, 65)).size(), 1u);  // lost its leaf
  EXPECT_TRUE(cache.prefixes.evict(4));
  EXPECT_EQ(cache.prefixes.find(counting(0, 65)).size(), 1u);  // the other was found just before
  EXPECT_TRUE(cache.prefixes.evict(6));
  EXPECT_EQ(cache.prefixes.blocks(), 0);
  EXPECT_EQ(cache.pool->used_blocks(), 0);
}

TEST(PrefixCache, WhatASequenceUsesStays) {
  Cache cache(4);
  cache.read(counting(0, 65));
  const KvBlocks user(cache.pool, 0, cache.prefixes.find(counting(0, 65)));
  EXPECT_EQ(cache.prefixes.evictable(), 0);
  EXPECT_FALSE(cache.prefixes.evict(3));
  EXPECT_EQ(cache.prefixes.blocks(), 2);
}

TEST(PrefixCache, SaltsKeepApart) {
  Cache cache(20);
  cache.read(counting(0, 65), "adapter");
  EXPECT_TRUE(cache.prefixes.find(counting(0, 65)).empty());
  EXPECT_EQ(cache.prefixes.find(counting(0, 65), "adapter").size(), 2u);
}

TEST(PrefixCache, ABlockThatWasLetGoEndsWhatIsRemembered) {
  Cache cache(20);
  KvBlocks blocks(cache.pool, 0);
  ASSERT_TRUE(blocks.reserve(0, 100));
  blocks.drop_before(40);
  cache.prefixes.insert(counting(0, 100), blocks.ids());
  EXPECT_EQ(cache.prefixes.blocks(), 0);
}

}  // namespace
}  // namespace llm
