// The order of the parameters in a model's flat buffer, as names and shapes: what transformer.h
// promises, computed without allocating anything.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "model/parameter_kind.h"

namespace llm {

struct ParameterPlace {
  std::string name;
  std::vector<int64_t> shape;
  ParameterKind kind;
  int64_t layer;   // -1: outside the layers
  int64_t offset;  // first element
  int64_t count;
};

/// Without gaps, in order; the last place's offset + count is parameter_count(config).
std::vector<ParameterPlace> parameter_layout(const ModelConfig& config);

}  // namespace llm
