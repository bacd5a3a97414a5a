// How far each request for text has come: what GET /v1/status/{id} tells.
//
// A request is known under its caller and its id: the key's tag ("" without keys) and the id that
// its answer has as X-Request-ID; "cmpl-" and "chatcmpl-" before it are the same request. So one
// caller never sees another's. An id that a caller uses again is the newer request. Of those that
// ended the last thousand are kept; those that run are bounded by the server's queue and
// connections. Any thread.
#pragma once

#include <cstddef>
#include <ctime>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace llm::api {

/// queued: it waits, or its prompt is being read. running: its text has begun.
enum class RequestStatus { queued, running, completed, cancelled, failed };
std::string_view request_status_name(RequestStatus status);

class RequestStatuses {
 public:
  struct Entry {
    std::string id;
    RequestStatus status = RequestStatus::queued;
    std::string message;
    std::time_t created = 0;
  };
  /// Names one request, also where its id is used again.
  struct Ticket {
    std::string place;
    uint64_t number = 0;
  };

  explicit RequestStatuses(size_t ended_at_most = 1000) : ended_at_most_(ended_at_most) {}

  /// A request has come: queued.
  Ticket begin(std::string_view caller, std::string_view id);
  /// It has come to this. What ended stays as it ended.
  void change(const Ticket& ticket, RequestStatus status, std::string_view message);
  std::optional<Entry> find(std::string_view caller, std::string_view id) const;
  size_t size() const;

 private:
  struct Kept {
    Entry entry;
    uint64_t number = 0;
    bool ended() const { return entry.status >= RequestStatus::completed; }
  };
  const size_t ended_at_most_;
  uint64_t next_number_ = 1;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Kept> by_place_;
  std::deque<Ticket> ended_;  // the oldest first
};

}  // namespace llm::api
