#include "serving/http/rate_limit.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "serving/http/http_error.h"

namespace llm::http {

RateLimiter::RateLimiter(RateLimitConfig config) : config_(config) {
  check(config_.requests_per_second >= 0 && std::isfinite(config_.requests_per_second),
        "requests_per_second must be 0 or more, got {}", config_.requests_per_second);
  check(config_.burst >= 0 && std::isfinite(config_.burst), "burst must be 0 or more, got {}",
        config_.burst);
  check(config_.max_clients >= 1, "max_clients must be at least 1");
  if (config_.burst < 1) config_.burst = std::max(1.0, config_.requests_per_second);
}

std::optional<double> RateLimiter::take(std::string_view client, Clock::time_point now) {
  if (!enabled()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = by_client_.find(client);
  if (found != by_client_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, found->second);
  } else {
    if (buckets_.size() >= config_.max_clients) {
      by_client_.erase(buckets_.back().client);
      buckets_.pop_back();
    }
    buckets_.push_front({std::string(client), config_.burst, now});
    by_client_.emplace(buckets_.front().client, buckets_.begin());
  }
  Bucket& bucket = buckets_.front();
  const double seconds = std::max(0.0, std::chrono::duration<double>(now - bucket.seen).count());
  bucket.tokens = std::min(config_.burst, bucket.tokens + seconds * config_.requests_per_second);
  bucket.seen = now;
  if (bucket.tokens < 1) return (1 - bucket.tokens) / config_.requests_per_second;
  bucket.tokens -= 1;
  return std::nullopt;
}

void RateLimiter::require(std::string_view client, Clock::time_point now) {
  if (const auto wait = take(client, now)) {
    throw too_many_requests(fmt::format("too many requests; retry after {} s",
                                        static_cast<int64_t>(std::max(1.0, std::ceil(*wait)))),
                            *wait);
  }
}

size_t RateLimiter::clients() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

std::string rate_client_of_address(const std::string& address) {
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return address;
  std::memset(parsed.s6_addr + 8, 0, 8);
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, &parsed, text.data(), text.size());
  return std::string(text.data()) + "/64";
}

}  // namespace llm::http
