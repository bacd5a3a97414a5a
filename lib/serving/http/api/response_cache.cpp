#include "serving/http/api/response_cache.h"

#include <utility>

#include "base/sha256.h"

namespace llm::api {

ResponseCache::ResponseCache(size_t entries, size_t bytes)
    : max_entries_(entries), max_bytes_(bytes) {}

std::string ResponseCache::key_of(std::string_view path, std::string_view body) {
  return sha256_hex(std::string(path) + "\n" + std::string(body));
}

std::optional<std::string> ResponseCache::find(const std::string& key) {
  const std::lock_guard guard(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  ++hits_;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return found->second->answer;
}

void ResponseCache::store(const std::string& key, std::string answer) {
  const std::lock_guard guard(mutex_);
  if (max_entries_ == 0 || answer.size() > max_bytes_ || by_key_.contains(key)) return;
  bytes_ += answer.size();
  by_use_.push_front({key, std::move(answer)});
  by_key_[key] = by_use_.begin();
  while (by_use_.size() > max_entries_ || bytes_ > max_bytes_) {
    bytes_ -= by_use_.back().answer.size();
    by_key_.erase(by_use_.back().key);
    by_use_.pop_back();
  }
}

uint64_t ResponseCache::hits() const {
  const std::lock_guard guard(mutex_);
  return hits_;
}

size_t ResponseCache::entries() const {
  const std::lock_guard guard(mutex_);
  return by_use_.size();
}

}  // namespace llm::api
