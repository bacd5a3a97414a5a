// A map that forgets what was not used for the longest time. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"

namespace llm::constraint {

struct WordsHash {
  size_t operator()(const std::vector<uint32_t>& words) const {
    uint64_t hash = words.size();
    for (const uint32_t word : words) hash = mix64(hash ^ word);
    return hash;
  }
};

template <typename Key, typename Value, typename Hash>
class LruCache {
 public:
  explicit LruCache(size_t capacity) : capacity_(capacity) {}

  /// nullptr where it is not known; valid until the next insert().
  const Value* find(const Key& key) {
    const auto place = index_.find(key);
    if (place == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, place->second);
    return &place->second->second;
  }

  void insert(const Key& key, Value value) {
    if (capacity_ == 0 || index_.contains(key)) return;
    if (entries_.size() >= capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, std::move(value));
    index_.emplace(key, entries_.begin());
  }

  size_t size() const { return entries_.size(); }

 private:
  using Entry = std::pair<Key, Value>;
  size_t capacity_;
  std::list<Entry> entries_;  // newest first
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> index_;
};

}  // namespace llm::constraint
