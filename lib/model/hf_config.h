// config.json in Hugging Face's form: read and written without LibTorch.
//
// Which keys a file has is its family's affair (families/): this is the door. Reading is strict: an
// unknown key is an error naming it, except those that say nothing about the computation
// (transformers_version, torch_dtype, _name_or_path, use_cache, ...). Written: the family's keys as
// transformers writes them, rope_theta + rope_scaling of older versions beside rope_parameters of
// newer ones, torch_dtype beside dtype; what the family cannot say and only training reads
// (attention_type, dropout, use_gradient_checkpointing) is added under our names. Reading our own
// file gives back an equal model.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "model/families/family.h"
#include "model/model_config.h"

namespace llm {

/// Throws Error(bad_input) naming the source and key; an unknown family is refused with the list of
/// those that are known. The result is validated.
ModelConfig model_config_from_hf(const nlohmann::json& object, const std::string& source_name);
ModelConfig load_hf_config(const std::filesystem::path& file);
/// The same shape as a run config. The ids of special tokens are of the tokenizer that the file was
/// made with, and a run takes those of its own: they are left out, and told in `token_ids`.
struct HfRunConfig {
  std::string text;       // JSON with a model section
  std::string token_ids;  // "bos_token_id 128000, eos_token_id 128001"; empty: the file has none
};
HfRunConfig run_config_from_hf(const nlohmann::json& object, const std::string& source_name);
/// dtype: "float32", "bfloat16" or "float16": what the weights beside it are stored as.
std::string hf_config_text(const ModelConfig& config, const std::string& dtype);
/// What a generation_config.json says of every model: bos, eos and pad ids, those that there are.
nlohmann::ordered_json generation_ids(const ModelConfig& config);

/// The config as that family says it; nothing where it cannot say exactly this one.
std::optional<nlohmann::ordered_json> hf_config_json(const ModelConfig& config,
                                                     const Family& family);

}  // namespace llm
