#include "training/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace llm {

double LrSchedule::at(int64_t step) const {
  if (step < warmup_steps) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  if (config.name == "constant") {
    return peak;
  }
  const double floor = config.min_lr_ratio * peak;
  int64_t start = warmup_steps;
  if (config.name == "wsd") {
    const auto decay_steps = static_cast<int64_t>(
        std::llround(config.decay_fraction * static_cast<double>(total_steps)));
    start = std::max(start, total_steps - decay_steps);
    if (step < start) {
      return peak;
    }
    // The first decaying step already lies one part below the peak, so that the last one reaches
    // the floor.
    const double parts = static_cast<double>(std::max<int64_t>(1, total_steps - start));
    return peak + (floor - peak) * std::min(1.0, static_cast<double>(step - start + 1) / parts);
  }
  const double span = static_cast<double>(std::max<int64_t>(1, total_steps - 1 - start));
  const double t = std::clamp(static_cast<double>(step - start) / span, 0.0, 1.0);
  if (config.name == "cosine") {
    return floor + (peak - floor) * 0.5 * (1 + std::cos(std::numbers::pi * t));
  }
  if (config.name == "linear") {
    return floor + (peak - floor) * (1 - t);
  }
  check(config.name == "polynomial",
        "scheduler.name: '{}' is not one of cosine, linear, polynomial, constant, wsd",
        config.name);
  return floor + (peak - floor) * std::pow(1 - t, config.power);
}

LrSchedule make_lr_schedule(const SchedulerConfig& config, double peak, int64_t total_steps) {
  const int64_t automatic = std::min<int64_t>(2000, total_steps / 10);
  return {config, peak, config.warmup_steps.value_or(automatic), total_steps};
}

}  // namespace llm
