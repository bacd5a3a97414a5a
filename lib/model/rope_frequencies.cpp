#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace llm {
namespace {

constexpr double kPi = std::numbers::pi;

std::vector<double> unscaled_frequencies(double theta, int64_t head_dim) {
  std::vector<double> speeds(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < speeds.size(); ++i) {
    speeds[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  }
  return speeds;
}

double original_positions(const ModelConfig& c) {
  return static_cast<double>(rope_original_positions(c));
}

void scale_llama3(std::vector<double>& speeds, const ModelConfig& c) {
  const double low = c.rope_scaling.low_freq_factor.value_or(1),
               high = c.rope_scaling.high_freq_factor.value_or(4);
  for (double& speed : speeds) {
    const double turns =
        original_positions(c) * speed / (2 * kPi);  // full turns within the original length
    if (turns < low) {
      speed /= c.rope_scaling.factor;
    } else if (turns <= high) {
      const double keep = (turns - low) / (high - low);
      speed = (1 - keep) * speed / c.rope_scaling.factor + keep * speed;
    }
  }
}

void scale_yarn(std::vector<double>& speeds, const ModelConfig& c) {
  const double width = static_cast<double>(c.rotary_size());
  // The (fractional) pair that turns `turns` times within the original length.
  const auto pair_of = [&](double turns) {
    return width * std::log(original_positions(c) / (turns * 2 * kPi)) /
           (2 * std::log(c.rope_theta));
  };
  const double first = std::max(std::floor(pair_of(c.rope_scaling.beta_fast.value_or(32))), 0.0);
  double last = std::min(std::ceil(pair_of(c.rope_scaling.beta_slow.value_or(1))), width - 1);
  if (last == first) {
    last += 0.001;  // a step, not a division by zero
  }
  for (size_t i = 0; i < speeds.size(); ++i) {
    const double stretched =
        std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
    speeds[i] = stretched * speeds[i] / c.rope_scaling.factor + (1 - stretched) * speeds[i];
  }
}

}  // namespace

bool has_long_rope(const ModelConfig& c) { return c.rope_scaling.rope_type == "longrope"; }

int64_t rope_original_positions(const ModelConfig& c) {
  return c.rope_scaling.original_max_position_embeddings.value_or(c.max_position_embeddings);
}

std::vector<double> rope_local_inverse_frequencies(const ModelConfig& c) {
  return unscaled_frequencies(c.rope_local_base_freq.value_or(c.rope_theta), c.rotary_size());
}

std::vector<double> rope_inverse_frequencies(const ModelConfig& c, bool beyond_original) {
  const int64_t D = c.rotary_size();
  const std::string& type = c.rope_scaling.rope_type;
  const double factor = c.rope_scaling.factor;
  if (type == "ntk") {
    return unscaled_frequencies(
        c.rope_theta * std::pow(factor, static_cast<double>(D) / static_cast<double>(D - 2)), D);
  }
  std::vector<double> speeds = unscaled_frequencies(c.rope_theta, D);
  if (type == "linear") {
    std::for_each(speeds.begin(), speeds.end(), [&](double& speed) { speed /= factor; });
  } else if (type == "llama3") {
    scale_llama3(speeds, c);
  } else if (type == "yarn") {
    scale_yarn(speeds, c);
  } else if (type == "longrope") {
    const auto& divisors =
        beyond_original ? c.rope_scaling.long_factor : c.rope_scaling.short_factor;
    for (size_t i = 0; i < speeds.size(); ++i) {
      speeds[i] /= divisors[i];
    }
  }
  return speeds;
}

double rope_attention_factor(const ModelConfig& c) {
  if (has_long_rope(c)) {
    const double original = static_cast<double>(rope_original_positions(c));
    const double factor = c.rope_scaling.factor != 1.0
                              ? c.rope_scaling.factor
                              : static_cast<double>(c.max_position_embeddings) / original;
    const double usual = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
    return c.rope_scaling.attention_factor.value_or(usual);
  }
  if (c.rope_scaling.rope_type != "yarn") {
    return 1.0;
  }
  return c.rope_scaling.attention_factor.value_or(0.1 * std::log(c.rope_scaling.factor) + 1.0);
}

}  // namespace llm
