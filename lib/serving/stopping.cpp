#include "serving/stopping.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace llm {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::stop_string:
      return "stop_string";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
    case FinishReason::none:
      break;
  }
  return "none";
}

StopStringFilter::StopStringFilter(std::vector<std::string> stop_strings)
    : stop_strings_(std::move(stop_strings)) {
  for (const std::string& stop : stop_strings_) longest_ = std::max(longest_, stop.size());
}

std::string StopStringFilter::feed(std::string_view bytes, bool may_stop) {
  if (matched_) return {};
  held_ += bytes;
  if (!may_stop) passed_ = held_.size();
  size_t first = std::string::npos;
  for (const std::string& stop : stop_strings_) {
    const size_t from = passed_ < stop.size() ? 0 : passed_ - stop.size() + 1;  // ends past passed_
    first = std::min(first, held_.find(stop, from));
  }
  if (first != std::string::npos) {
    matched_ = true;
    return held_.substr(0, first);
  }
  // The longest tail that is the beginning of a stop string has to wait.
  size_t wait = longest_ == 0 ? 0 : std::min(held_.size(), longest_ - 1);
  const auto may_become_stop = [&](std::string_view tail) {
    return std::any_of(stop_strings_.begin(), stop_strings_.end(),
                       [&](const std::string& stop) { return stop.starts_with(tail); });
  };
  while (wait > 0 && !may_become_stop(std::string_view(held_).substr(held_.size() - wait))) --wait;
  std::string shown = held_.substr(0, held_.size() - wait);
  held_.erase(0, shown.size());
  passed_ -= std::min(passed_, shown.size());
  return shown;
}

std::string StopStringFilter::finish() {
  if (matched_) return {};
  return std::exchange(held_, {});
}

std::string Utf8Filter::feed(std::string_view bytes) {
  held_ += bytes;
  const size_t ready = held_.size() - utf8::incomplete_suffix_length(held_);
  std::string shown = utf8::replace_invalid(std::string_view(held_).substr(0, ready));
  held_.erase(0, ready);
  return shown;
}

std::string Utf8Filter::finish() { return utf8::replace_invalid(std::exchange(held_, {})); }

std::string TextStreamer::feed(std::string_view token_bytes, bool may_stop) {
  return utf8_.feed(stop_.feed(token_bytes, may_stop));
}

std::string TextStreamer::finish() {
  if (std::exchange(finished_, true)) return {};
  std::string rest = utf8_.feed(stop_.finish());
  return rest + utf8_.finish();
}

FinishReason StoppingCriteria::after_token(int32_t id, int64_t generated) const {
  if (!config_->ignore_eos && config_.ends_text(id)) return FinishReason::stop;
  if (generated >= config_.max_new_tokens()) return FinishReason::length;
  return FinishReason::none;
}

}  // namespace llm
