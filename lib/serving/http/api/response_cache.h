// Whole answers to requests that have only one answer, kept for the next time.
//
// The key is the caller, the path and the body, byte for byte: whatever could change the answer is
// in it, and nobody is given what another key asked for. Callers store deterministic answers only.
// The least recently used go first, bounded by count and bytes. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace llm::api {

class ResponseCache {
 public:
  /// entries 0: keeps nothing.
  explicit ResponseCache(size_t entries, size_t bytes = 64 << 20);

  /// client: the tag of the caller's API key; "" without keys.
  static std::string key_of(std::string_view client, std::string_view path, std::string_view body);
  /// The answer as one to `request_id`, made now: its own id and those of its tool calls name that
  /// request.
  std::optional<std::string> find(const std::string& key, std::string_view request_id);
  /// answer: JSON, whose ids name `request_id`.
  void store(const std::string& key, std::string answer, std::string_view request_id);
  uint64_t hits() const;
  size_t entries() const;

 private:
  struct Entry {
    std::string key, answer, request_id;
  };
  size_t max_entries_, max_bytes_, bytes_ = 0;
  uint64_t hits_ = 0;
  mutable std::mutex mutex_;
  std::list<Entry> by_use_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace llm::api
