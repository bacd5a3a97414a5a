// Whole run configs from one word or one number: what create-config writes and config/ ships.
//
// Model shapes of the named presets: model/model_presets.h. Everything else follows from the
// parameter count N, as measured fits say: 20 training tokens per parameter
// (https://arxiv.org/abs/2203.15556), and with C = 6 N * tokens FLOPs a batch of 0.2920 C^0.3271
// tokens at a peak learning rate of 0.3118 C^-0.1250 (https://arxiv.org/abs/2401.02954), at most
// 3e-3; below 100 M parameters a step has 16,384 tokens at most, so that it takes no minutes on a
// CPU. `mini` is tuned by hand for the built-in stories on two CPU cores.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "apps/run_config.h"

namespace llm {

/// mini, tiny, small, base, large, xl. Throws Error(usage) listing the choices.
RunConfig run_preset(std::string_view name);

/// A model of about `parameters` parameters (100 thousand to 1 trillion; within 15 %) and the run
/// that suits it.
RunConfig sized_run(int64_t parameters);

/// The model alone: vocabulary and context by size, then the depth and width that come nearest to N
/// at a usual proportion.
ModelConfig sized_model(int64_t parameters);

/// One line for people: "53.7M parameters, 1.07B tokens in 2,048 steps".
std::string describe_run(const RunConfig& config);

}  // namespace llm
