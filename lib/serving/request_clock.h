// When things happened to one request, and the figures that follow from it.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "serving/decoder.h"

namespace llm {

class RequestClock {
 public:
  using Clock = std::chrono::steady_clock;
  explicit RequestClock(Clock::time_point asked) : asked_(asked) {}

  void began() {
    if (!began_) began_ = Clock::now();
  }
  void drew_token() {
    last_ = Clock::now();
    if (!first_) first_ = last_;
  }

  /// prompt_tokens: those that were read.
  GenerationTiming timing(size_t prompt_tokens, size_t new_tokens) const {
    const auto ms = [](Clock::duration time) {
      return std::chrono::duration<double, std::milli>(time).count();
    };
    GenerationTiming timing;
    timing.total_ms = ms(Clock::now() - asked_);
    if (began_) timing.queue_ms = ms(*began_ - asked_);
    if (!first_) return timing;
    timing.ttft_ms = ms(*first_ - asked_);
    const double reading = timing.ttft_ms - timing.queue_ms;
    if (reading > 0)
      timing.prompt_tokens_per_second = 1e3 * static_cast<double>(prompt_tokens) / reading;
    const auto count = static_cast<double>(new_tokens);
    if (new_tokens > 1) timing.tpot_ms = ms(last_ - *first_) / (count - 1);
    if (timing.tpot_ms > 0) {
      timing.tokens_per_second = 1e3 / timing.tpot_ms;
    } else if (timing.total_ms > 0) {
      timing.tokens_per_second = 1e3 * count / timing.total_ms;
    }
    return timing;
  }

 private:
  Clock::time_point asked_;
  std::optional<Clock::time_point> began_, first_;
  Clock::time_point last_;
};

}  // namespace llm
