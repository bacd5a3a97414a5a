// The files that hold a model's weights, before anyone opens them as such. No LibTorch.
#pragma once

#include <filesystem>
#include <vector>

#include "base/mapped_file.h"

namespace llm {

/// What a model directory may hold its weights in, in the order of preference.
enum class WeightFile { safetensors, sharded_safetensors, pytorch, sharded_pytorch };
/// "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", ...
const char* weight_file_name(WeightFile kind);
inline constexpr WeightFile kWeightFiles[] = {WeightFile::safetensors,
                                              WeightFile::sharded_safetensors, WeightFile::pytorch,
                                              WeightFile::sharded_pytorch};

/// Maps the weights of a resolved model directory or .gguf file and asks for all their pages: who
/// opens them while the result lives (weight_source.h) finds them there. Nothing where they would
/// fill more than half of the memory, or are not where they belong, which opening says better.
std::vector<MappedFile> map_weight_files(const std::filesystem::path& model);

}  // namespace llm
