// The families that models are read from and written as: the registry, and the way from a model to
// what its files hold.
//
//   reading: config.json -> hf_config.h -> ModelConfig -> stored_tensors() -> split_stored() into
//            the Transformer's parameters (tensor_map.h)
//   writing: the same list, join_stored() for each
//
// The own family ("llm") comes last: it can say every ModelConfig, in our names, for shapes that no
// other program knows. No LibTorch here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/families/family.h"
#include "model/model_config.h"

namespace llm {

const std::vector<Family>& families();
/// By config.json's model_type; nullptr where unknown.
const Family* find_family(std::string_view model_type);
/// "llama, mistral, ...": for messages.
std::string family_names();

/// The family whose files the model is written as: config.model_type where that family can say
/// exactly this config, else the first of llama, mistral, llm that can. Writes and reads whole
/// configs to find out: ask once, not per tensor.
const Family& family_of(const ModelConfig& config);

/// Every tensor of the model's files, in the order of our parameters. A tied head has none.
std::vector<StoredTensor> stored_tensors(const ModelConfig& config);
std::vector<StoredTensor> stored_tensors(const ModelConfig& config, const Family& family);
/// The name of a stored tensor as some files have it (names of the bare model get their prefix);
/// empty where it is one that no model needs.
std::string canonical_stored_name(const ModelConfig& config, const Family& family,
                                  const std::string& name);

}  // namespace llm
