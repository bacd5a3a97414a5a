// Between safetensors files and LibTorch tensors. The reading side maps the file: a tensor of
// map_tensors() points into the mapping and keeps it alive.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "model/weight_source.h"

namespace llm {

/// LibTorch's type for a safetensors dtype name; empty where it has none ("F4").
std::optional<at::ScalarType> safetensors_scalar_type(std::string_view dtype);
/// "F32", ...; throws Error(internal) for a type that safetensors cannot hold.
std::string safetensors_dtype(at::ScalarType dtype);

}  // namespace llm
