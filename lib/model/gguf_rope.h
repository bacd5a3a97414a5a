// Llama 3's rotary scaling as GGUF has it: one divisor per pair in place of the parameters.
#pragma once

#include <optional>
#include <vector>

#include "model/model_config.h"

namespace llm {

/// The divisors of the rotary speeds, one per pair of a head of `head_dim`.
std::vector<float> llama3_divisors(const RopeScalingConfig& scaling, double theta,
                                   int64_t head_dim);

/// The parameters that give these divisors; nothing where no usual ones do.
std::optional<RopeScalingConfig> llama3_of_divisors(const std::vector<float>& divisors,
                                                    double theta);

}  // namespace llm
