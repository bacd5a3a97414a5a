// config.json in Hugging Face's form: read and written without LibTorch.
//
// Written: architectures, model_type "llama" where Llama's code computes exactly this model,
// otherwise "llm" with our extra keys beside the common ones; rope_scaling in the older spelling
// (rope_theta + rope_scaling{rope_type, type}) that every version reads, torch_dtype and dtype.
// Reading our own file gives back an equal ModelConfig. Reading is strict: an unknown key is an
// error naming it, except the list of keys that say nothing about the computation
// (transformers_version, torch_dtype, _name_or_path, use_cache, ...).
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/model_config.h"

namespace llm {

/// True for a JSON object that is a Hugging Face config.json: it has "architectures" or
/// "model_type".
bool is_hf_config(const nlohmann::json& object);
/// Throws Error(bad_input) naming the source and key. The result is validated.
ModelConfig model_config_from_hf(const nlohmann::json& object, const std::string& source_name);
ModelConfig load_hf_config(const std::filesystem::path& file);
/// dtype: "float32", "bfloat16" or "float16": what the weights beside it are stored as.
std::string hf_config_text(const ModelConfig& config, const std::string& dtype);

}  // namespace llm
