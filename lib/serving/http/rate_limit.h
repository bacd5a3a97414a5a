// A token bucket per client: `burst` requests at once, then so many a second.
//
// The client is a key's tag or an address (an IPv6 address counts by its /64, which one host owns).
// Memory is bounded: beyond max_clients the one that asked longest ago is forgotten, whose bucket
// is the fullest. Any thread.
#pragma once

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace llm::http {

struct RateLimitConfig {
  double requests_per_second = 0;  // 0: no limit
  double burst = 0;                // 0: one second's worth, at least 1
  size_t max_clients = 10'000;
};

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  /// Throws Error(Exit::usage) for what is no rate.
  explicit RateLimiter(RateLimitConfig config);

  bool enabled() const { return config_.requests_per_second > 0; }
  /// Takes one token: nothing if there was one, else the seconds until there is.
  std::optional<double> take(std::string_view client, Clock::time_point now = Clock::now());
  /// take(), with HttpError 429 and Retry-After for a refusal.
  void require(std::string_view client, Clock::time_point now = Clock::now());
  size_t clients() const;

 private:
  struct Bucket {
    std::string client;
    double tokens;
    Clock::time_point seen;
  };
  RateLimitConfig config_;
  mutable std::mutex mutex_;
  std::list<Bucket> buckets_;  // the last asker first
  std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_client_;
};

/// What an address is counted as: itself, or "2001:db8:1:2::/64".
std::string rate_client_of_address(const std::string& address);

}  // namespace llm::http
