#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"

namespace llm {
namespace {

TEST(Random, IsTheSameOnEveryMachine) {
  EXPECT_EQ(mix64(0), 0xE220A8397B1DCDAFull) << "the first output of SplitMix64 from seed 0";
  Random random(42);
  const std::vector<uint64_t> first{random.bits(), random.bits(), random.bits()};
  Random again(42);
  for (const uint64_t word : first) {
    EXPECT_EQ(again.bits(), word);
  }
  EXPECT_NE(Random(43).bits(), first[0]);
}

TEST(Random, StateRestoresTheStream) {
  Random random(7);
  random.bits();
  const Random::State state = random.state();
  const double next = random.uniform();
  Random other(0);
  other.set_state(state);
  EXPECT_EQ(other.uniform(), next);
}

TEST(Random, UniformAndNormalHaveTheirMoments) {
  Random random(1);
  const CounterRandom counter(1);
  double sum = 0, normal_sum = 0, normal_squares = 0, counted = 0, counted_squares = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double uniform = random.uniform();
    ASSERT_GE(uniform, 0.0);
    ASSERT_LT(uniform, 1.0);
    sum += uniform;
    const double normal = random.normal();
    normal_sum += normal;
    normal_squares += normal * normal;
    counted += counter.uniform(i);
    counted_squares += counter.normal(i) * counter.normal(i);
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.003);
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 0.01);
  EXPECT_NEAR(normal_squares / kDraws, 1.0, 0.02);
  EXPECT_NEAR(counted / kDraws, 0.5, 0.003);
  EXPECT_NEAR(counted_squares / kDraws, 1.0, 0.02);
}

TEST(Random, BelowIsEvenAndInside) {
  Random random(3);
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) {
    ++counts[random.below(10)];
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 10000, 400);
  }
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_THROW(random.below(0), Error);
}

TEST(CounterRandom, DependsOnKeyAndCounterOnly) {
  const CounterRandom a(5), b(6);
  EXPECT_EQ(a.bits(100), CounterRandom(5).bits(100));
  EXPECT_NE(a.bits(100), b.bits(100));
  EXPECT_NE(a.bits(100), a.bits(101));
  EXPECT_NE(combine_keys(1, 2), combine_keys(2, 1));
  EXPECT_NE(combine_keys(1, 2, 3), combine_keys(1, 3, 2));
}

TEST(Permutation, VisitsEveryIndexOnce) {
  for (const uint64_t size :
       {1ull, 2ull, 3ull, 4ull, 5ull, 63ull, 64ull, 65ull, 1000ull, 4097ull}) {
    const Permutation permutation(size, 99);
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t image = permutation(i);
      ASSERT_LT(image, size);
      ASSERT_FALSE(seen[image]) << size;
      seen[image] = true;
    }
  }
}

TEST(Permutation, MovesThingsFarAndDiffersByKey) {
  const Permutation a(1000, 1), b(1000, 2);
  int equal = 0, neighbours = 0;
  for (uint64_t i = 0; i + 1 < 1000; ++i) {
    equal += a(i) == b(i);
    neighbours += a(i + 1) == a(i) + 1;
  }
  EXPECT_LT(equal, 10);
  EXPECT_LT(neighbours, 10);
  EXPECT_THROW(a(1000), Error);
}

TEST(Permutation, HandlesHugeSizes) {
  const Permutation permutation(uint64_t{1} << 40, 5);
  EXPECT_LT(permutation(0), uint64_t{1} << 40);
  EXPECT_NE(permutation(0), permutation(1));
}

}  // namespace
}  // namespace llm
