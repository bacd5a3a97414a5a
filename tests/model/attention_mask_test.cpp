// first_keys() says of a run of keys what attention_bias() says key by key.
#include "model/attention_mask.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace llm {
namespace {

constexpr int64_t kTokens = 9;

at::Tensor row_of(std::vector<int64_t> values) {
  return at::tensor(values, at::kLong).unsqueeze(0);
}

/// What the case has: rows of three texts of 4, 3 and 2 tokens, their positions, a window.
struct Case {
  bool segments = false;
  std::vector<int64_t> positions{};
  std::optional<int64_t> window{};
};

VisibleKeys keys_of(const Case& c) {
  VisibleKeys keys;
  keys.query_tokens = keys.key_tokens = kTokens;
  keys.window = c.window;
  if (c.segments) keys.segments = row_of({0, 0, 0, 0, 1, 1, 1, 2, 2});
  if (!c.positions.empty()) keys.key_positions = row_of(c.positions);
  return keys;
}

at::Tensor first_of(const Case& c) { return first_keys({}, keys_of(c), at::kCPU); }

/// (1, T, T): the keys from first to the query itself.
at::Tensor seen_from(const at::Tensor& first) {
  const at::Tensor places = at::arange(kTokens, at::kLong);
  return (places.view({1, 1, -1}) >= first.unsqueeze(2))
      .logical_and(places.view({1, 1, -1}) <= places.view({1, -1, 1}));
}

at::Tensor seen_by_bias(const Case& c) {
  return attention_bias({}, keys_of(c), at::TensorOptions(at::kFloat)).squeeze(1) != -INFINITY;
}

const std::vector<int64_t> kCountedInEach = {0, 1, 2, 3, 0, 1, 2, 0, 1};

TEST(FirstKeys, SayWhatTheBiasSays) {
  const Case cases[] = {
      {.segments = true},
      {.segments = true, .positions = kCountedInEach},
      {.window = 3},
      {.positions = {5, 6, 7, 8, 9, 10, 11, 12, 13}, .window = 3},
      {.segments = true, .window = 3},
      {.segments = true, .positions = kCountedInEach, .window = 3},
      {.segments = true, .positions = kCountedInEach, .window = 64},
  };
  for (const Case& c : cases) {
    const at::Tensor first = first_of(c);
    ASSERT_TRUE(first.defined()) << &c - cases;
    EXPECT_TRUE(at::equal(seen_from(first), seen_by_bias(c))) << &c - cases;
  }
  EXPECT_TRUE(at::equal(first_of(cases[5]), row_of({0, 0, 0, 1, 4, 4, 4, 7, 7}).to(at::kInt)));
}

TEST(FirstKeys, LeaveOddPositionsToTheBias) {
  EXPECT_FALSE(first_of({.positions = {0, 2, 4, 6, 8, 10, 12, 14, 16}, .window = 3}).defined());
  EXPECT_FALSE(first_of({.segments = true, .positions = {0, 1, 2, 9, 0, 1, 2, 0, 1}, .window = 64})
                   .defined())
      << "the token at 9 is within 64 of the others here, but nothing has looked";
  EXPECT_FALSE(first_of({}).defined()) << "nothing is hidden";
}

}  // namespace
}  // namespace llm
