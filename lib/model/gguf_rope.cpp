// Llama 3's scaling of the rotary speeds, as divisors and back.
#include "model/gguf_rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace llm {

std::vector<float> llama3_divisors(const RopeScalingConfig& scaling, double theta,
                                   int64_t head_dim) {
  const double low = scaling.low_freq_factor.value_or(1),
               high = scaling.high_freq_factor.value_or(4);
  const auto length = static_cast<double>(scaling.original_max_position_embeddings.value_or(8192));
  std::vector<float> divisors;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double speed =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    const double turns = length * speed / (2 * std::numbers::pi);  // within the trained length
    double divisor = 1;
    if (turns < low) {
      divisor = scaling.factor;
    } else if (turns <= high) {
      const double keep = (turns - low) / (high - low);
      divisor = 1 / ((1 - keep) / scaling.factor + keep);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

// Any two numbers on the ramp allow many triples (length, low, high), all of them equal in effect.
// Those that models are published with have low 1, high 4 and a power of two for the length.
std::optional<RopeScalingConfig> llama3_of_divisors(const std::vector<float>& divisors,
                                                    double theta) {
  if (divisors.empty()) {
    return std::nullopt;
  }
  RopeScalingConfig scaling;
  scaling.rope_type = "llama3";
  scaling.factor = *std::max_element(divisors.begin(), divisors.end());
  scaling.low_freq_factor = 1;
  scaling.high_freq_factor = 4;
  // The usual length first: where no pair lies on the ramp, several lengths fit.
  std::vector<int64_t> lengths = {8192};
  for (int64_t length = 16; length <= (1 << 20); length *= 2) {
    lengths.push_back(length);
  }
  for (const int64_t length : lengths) {
    scaling.original_max_position_embeddings = length;
    const std::vector<float> expected =
        llama3_divisors(scaling, theta, 2 * static_cast<int64_t>(divisors.size()));
    const bool equal =
        std::equal(divisors.begin(), divisors.end(), expected.begin(),
                   [](float a, float b) { return std::fabs(a - b) <= 2e-5f * std::fabs(b); });
    if (equal) {
      return scaling;
    }
  }
  return std::nullopt;
}

}  // namespace llm
