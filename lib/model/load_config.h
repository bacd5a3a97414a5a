// A model's config, whatever form the model has. No LibTorch.
#pragma once

#include <filesystem>

#include "model/model_config.h"

namespace llm {

/// The config of a resolved model directory or .gguf file.
ModelConfig load_model_config(const std::filesystem::path& model_directory);

}  // namespace llm
