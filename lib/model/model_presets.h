// Ready-made model shapes: mini for a CPU in a minute, and the documented tiny, small, base, large,
// xl (32,000 pieces, untied: 53.7M, 191.4M, 1345M, 2702M, 13215M parameters).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/model_config.h"

namespace llm {

const std::vector<std::string>& model_preset_names();
/// Throws Error(usage) listing the choices.
ModelConfig model_preset(std::string_view name);

}  // namespace llm
