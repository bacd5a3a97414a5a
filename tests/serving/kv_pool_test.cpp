#include "serving/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"

namespace llm {
namespace {

constexpr KvShape kShape{.layers = 1, .heads = 1, .head_dim = 2};

std::shared_ptr<KvPool> a_pool(int64_t blocks, const char* layout = "paged", int64_t slab = 0) {
  return std::make_shared<KvPool>(
      kShape, KvPoolOptions{.max_blocks = blocks, .layout = layout, .slab_tokens = slab});
}

void mark(KvBlocks& blocks, size_t block, int value) {
  std::memset(blocks.table()[block], value, kShape.block_bytes());
}
int mark_of(const KvBlocks& blocks, size_t block) {
  return std::to_integer<int>(blocks.table()[block][5]);
}

TEST(KvPool, RoundsTokensUpToBlocksAndFreesThem) {
  const auto pool = a_pool(4);
  {
    KvBlocks blocks(pool, 100);
    EXPECT_TRUE(blocks.reserve(0, 33));
    EXPECT_EQ(pool->used_blocks(), 2);
    EXPECT_TRUE(blocks.reserve(33, 64));
    EXPECT_EQ(pool->used_blocks(), 2);
    blocks.truncate(32);
    EXPECT_EQ(pool->used_blocks(), 1);
  }
  EXPECT_EQ(pool->used_blocks(), 0);
}

TEST(KvPool, ExhaustionChangesNothing) {
  const auto pool = a_pool(3);
  KvBlocks a(pool, 0), b(pool, 0);
  ASSERT_TRUE(a.reserve(0, 64));
  EXPECT_FALSE(b.reserve(0, 64));
  EXPECT_TRUE(b.table().empty());
  EXPECT_EQ(pool->used_blocks(), 2);
  EXPECT_TRUE(b.reserve(0, 32));
}

TEST(KvPool, ABlockIsZeroedWhenItIsHandedOutAgain) {
  const auto pool = a_pool(1);
  {
    KvBlocks first(pool, 0);
    ASSERT_TRUE(first.reserve(0, 1));
    mark(first, 0, 7);
  }
  KvBlocks second(pool, 0);
  ASSERT_TRUE(second.reserve(0, 1));
  EXPECT_EQ(mark_of(second, 0), 0);
}

TEST(KvPool, SharedBlocksAreCopiedByWhoWrites) {
  const auto pool = a_pool(4);
  KvBlocks first(pool, 0);
  ASSERT_TRUE(first.reserve(0, 40));
  mark(first, 0, 1);
  mark(first, 1, 2);
  const auto second = first.fork(40);
  EXPECT_EQ(pool->used_blocks(), 2);
  ASSERT_TRUE(second->reserve(40, 41));  // writes into the second block
  EXPECT_EQ(pool->used_blocks(), 3);
  EXPECT_EQ(pool->copies(), 1);
  mark(*second, 1, 9);
  EXPECT_EQ(mark_of(first, 1), 2);
  EXPECT_EQ(second->table()[0], first.table()[0]);
  ASSERT_TRUE(first.reserve(40, 41));  // alone with its block again: no copy
  EXPECT_EQ(pool->copies(), 1);
}

TEST(KvPool, BlocksBeforeAWindowAreLetGo) {
  const auto pool = a_pool(4);
  KvBlocks blocks(pool, 0);
  ASSERT_TRUE(blocks.reserve(0, 100));
  blocks.drop_before(70);
  EXPECT_EQ(pool->used_blocks(), 2);
  EXPECT_EQ(blocks.ids()[0], -1);
  EXPECT_EQ(blocks.ids()[1], -1);
  EXPECT_EQ(blocks.table()[1], nullptr);
  EXPECT_NE(blocks.table()[2], nullptr);
  EXPECT_TRUE(blocks.reserve(100, 160));
  EXPECT_EQ(pool->used_blocks(), 3);
}

TEST(KvPool, ASlabIsTakenWholeAndGivenBackWhole) {
  const auto pool = a_pool(8, "slab", 100);
  std::byte* place = nullptr;
  {
    KvBlocks a(pool, 100), b(pool, 100), c(pool, 100);
    ASSERT_TRUE(a.reserve(0, 1));
    EXPECT_EQ(pool->used_blocks(), 4);
    ASSERT_TRUE(b.reserve(0, 100));
    EXPECT_FALSE(c.reserve(0, 1));
    place = b.table()[0];
    EXPECT_EQ(b.table()[1], place + kShape.block_bytes());
    mark(b, 0, 3);
    EXPECT_THROW(a.reserve(1, 129), Error);
  }
  EXPECT_EQ(pool->used_blocks(), 0);
  KvBlocks again(pool, 100);
  ASSERT_TRUE(again.reserve(0, 1));
  EXPECT_EQ(mark_of(again, 0), 0);
}

TEST(KvPool, SegmentsOfTheRootAreCopiedAsOftenAsNeeded) {
  constexpr int64_t kTokens = 64 * 64;  // the root is 64: two blocks a segment
  const auto pool = a_pool(1000, "bmc", kTokens);
  KvBlocks blocks(pool, kTokens);
  for (int64_t tokens = 1; tokens <= 640; ++tokens) {
    ASSERT_TRUE(blocks.reserve(tokens - 1, tokens));
    if (tokens % 32 == 1)
      mark(blocks, static_cast<size_t>(tokens / 32), 1 + static_cast<int>(tokens / 32));
  }
  EXPECT_EQ(pool->copies(), 640 / 64 - 1);  // ceil(n / segment) stretches
  EXPECT_EQ(pool->used_blocks(), 20);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(mark_of(blocks, i), 1 + static_cast<int>(i));
}

TEST(KvPool, MisuseIsRefused) {
  const auto pool = a_pool(2);
  const int32_t block = *pool->allocate();
  pool->release(block);
  EXPECT_THROW(pool->release(block), Error);
  EXPECT_THROW(pool->share(block), Error);
  EXPECT_THROW(a_pool(0), Error);
  EXPECT_THROW(a_pool(1, "heap"), Error);
}

}  // namespace
}  // namespace llm
