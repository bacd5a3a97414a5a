#include "serving/http/rate_limit.h"

#include <gtest/gtest.h>

#include "serving/http/http_error.h"
#include "tests/support/expect_error.h"

namespace llm::http {
namespace {

const RateLimiter::Clock::time_point kStart =
    RateLimiter::Clock::time_point{} + std::chrono::hours(1);

RateLimiter::Clock::time_point after(int milliseconds) {
  return kStart + std::chrono::milliseconds(milliseconds);
}

TEST(RateLimit, BurstThenRefusesUntilATokenIsBack) {
  RateLimiter rates({2, 3, 100});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rates.take("a", after(0)), std::nullopt);
  EXPECT_EQ(rates.take("a", after(0)), 0.5);
  EXPECT_NEAR(*rates.take("a", after(400)), 0.1, 1e-9);
  EXPECT_EQ(rates.take("a", after(500)), std::nullopt);
  EXPECT_EQ(rates.take("a", after(500)), 0.5);
  EXPECT_EQ(rates.take("b", after(500)), std::nullopt);  // its own bucket
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rates.take("a", after(60000)), std::nullopt);
  EXPECT_TRUE(rates.take("a", after(60000)));  // never more than the burst
}

TEST(RateLimit, OffIsNoLimitAndRemembersNobody) {
  RateLimiter rates({});
  EXPECT_FALSE(rates.enabled());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(rates.take("a", after(0)), std::nullopt);
  EXPECT_EQ(rates.clients(), 0u);
}

TEST(RateLimit, ForgetsWhoAskedLongestAgo) {
  RateLimiter rates({1, 1, 2});
  rates.take("a", after(0));
  rates.take("b", after(1));
  rates.take("a", after(2));
  rates.take("c", after(3));  // b goes
  EXPECT_EQ(rates.clients(), 2u);
  EXPECT_TRUE(rates.take("a", after(4)));
  EXPECT_EQ(rates.take("b", after(5)), std::nullopt);
  for (int i = 0; i < 10000; ++i) rates.take(std::to_string(i), after(6));
  EXPECT_EQ(rates.clients(), 2u);
}

TEST(RateLimit, TheRefusalSaysWhenToComeBack) {
  RateLimiter rates({0.4, 1, 100});
  rates.require("a", after(0));
  try {
    rates.require("a", after(0));
    ADD_FAILURE();
  } catch (const HttpError& error) {
    EXPECT_EQ(error.status(), 429);
    EXPECT_EQ(error.code(), "rate_limit_exceeded");
    EXPECT_EQ(error.message(), "too many requests; retry after 3 s");
    EXPECT_EQ(error.headers, (Headers{{"Retry-After", "3"}}));
  }
}

TEST(RateLimit, AClockThatStandsStillOrGoesBackGivesNothing) {
  RateLimiter rates({1000, 1, 100});
  EXPECT_EQ(rates.take("a", after(100)), std::nullopt);
  EXPECT_TRUE(rates.take("a", after(50)));
}

TEST(RateLimit, AddressesOfOneHostCountTogether) {
  EXPECT_EQ(rate_client_of_address("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(rate_client_of_address("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(rate_client_of_address("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
}

TEST(RateLimit, RefusesWhatIsNoRate) {
  expect_error(
      [] {
        RateLimiter rates({-1, 0, 1});
      },
      Exit::usage, "requests_per_second must be 0 or more, got -1");
  expect_error(
      [] {
        RateLimiter rates({1, -2, 1});
      },
      Exit::usage, "burst must be 0 or more, got -2");
}

}  // namespace
}  // namespace llm::http
