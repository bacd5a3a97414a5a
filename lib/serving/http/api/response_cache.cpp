#include "serving/http/api/response_cache.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/sha256.h"
#include "serving/http/api/answer_json.h"

namespace llm::api {
namespace {

/// "cmpl-FROM", "call_FROM_0" or "FROM" with `to` in the place of `from`.
void name_request(OrderedJson& id, std::string_view from, std::string_view to) {
  std::string text = id.get<std::string>();
  const size_t at = text == from ? 0 : text.find_first_of("-_") + 1;
  if (std::string_view(text).substr(at).starts_with(from)) id = text.replace(at, from.size(), to);
}

std::string as_answer_to(const std::string& kept, std::string_view from, std::string_view to) {
  OrderedJson answer = OrderedJson::parse(kept);
  for (const char* name : {"id", "request_id"}) {
    if (answer.contains(name)) name_request(answer[name], from, to);
  }
  if (answer.contains("created")) answer["created"] = std::time(nullptr);
  for (OrderedJson& choice : answer["choices"]) {
    if (!choice.contains("message") || !choice["message"].contains("tool_calls")) continue;
    for (OrderedJson& call : choice["message"]["tool_calls"]) name_request(call["id"], from, to);
  }
  return dumped(answer);
}

}  // namespace

ResponseCache::ResponseCache(size_t entries, size_t bytes)
    : max_entries_(entries), max_bytes_(bytes) {}

std::string ResponseCache::key_of(std::string_view client, std::string_view path,
                                  std::string_view body) {
  return sha256_hex(fmt::format("{}\n{}\n{}", client, path, body));
}

std::optional<std::string> ResponseCache::find(const std::string& key,
                                               std::string_view request_id) {
  Entry kept;
  {
    const std::lock_guard guard(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    ++hits_;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    kept = *found->second;
  }
  return as_answer_to(kept.answer, kept.request_id, request_id);
}

void ResponseCache::store(const std::string& key, std::string answer,
                          std::string_view request_id) {
  const std::lock_guard guard(mutex_);
  if (max_entries_ == 0 || answer.size() > max_bytes_ || by_key_.contains(key)) return;
  bytes_ += answer.size();
  by_use_.push_front({key, std::move(answer), std::string(request_id)});
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
