#include "serving/http/api/request_statuses.h"

#include <utility>

namespace llm::api {
namespace {

/// Neither tags (hex digits) nor ids hold a space.
std::string place_of(std::string_view caller, std::string_view id) {
  return std::string(caller) + " " + std::string(id);
}

}  // namespace

std::string_view request_status_name(RequestStatus status) {
  switch (status) {
    case RequestStatus::queued:
      return "queued";
    case RequestStatus::running:
      return "running";
    case RequestStatus::completed:
      return "completed";
    case RequestStatus::cancelled:
      return "cancelled";
    case RequestStatus::failed:
      return "failed";
  }
  return "";
}

RequestStatuses::Ticket RequestStatuses::begin(std::string_view caller, std::string_view id) {
  const std::lock_guard guard(mutex_);
  const Ticket ticket{place_of(caller, id), next_number_++};
  by_place_[ticket.place] = {{std::string(id), RequestStatus::queued,
                              "waits, or its prompt is being read", std::time(nullptr)},
                             ticket.number};
  return ticket;
}

void RequestStatuses::change(const Ticket& ticket, RequestStatus status, std::string_view message) {
  const std::lock_guard guard(mutex_);
  const auto found = by_place_.find(ticket.place);
  if (found == by_place_.end() || found->second.number != ticket.number) return;  // used again
  Kept& kept = found->second;
  if (kept.ended()) return;
  kept.entry.status = status;
  kept.entry.message = message;
  if (!kept.ended()) return;
  ended_.push_back(ticket);
  while (ended_.size() > ended_at_most_) {
    const auto oldest = by_place_.find(ended_.front().place);
    if (oldest != by_place_.end() && oldest->second.number == ended_.front().number)
      by_place_.erase(oldest);
    ended_.pop_front();
  }
}

std::optional<RequestStatuses::Entry> RequestStatuses::find(std::string_view caller,
                                                            std::string_view id) const {
  const std::lock_guard guard(mutex_);
  for (const std::string_view before : {"", "cmpl-", "chatcmpl-"}) {
    if (!id.starts_with(before)) continue;
    const auto found = by_place_.find(place_of(caller, id.substr(before.size())));
    if (found != by_place_.end()) return found->second.entry;
  }
  return std::nullopt;
}

size_t RequestStatuses::size() const {
  const std::lock_guard guard(mutex_);
  return by_place_.size();
}

}  // namespace llm::api
