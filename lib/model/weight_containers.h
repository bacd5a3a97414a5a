// The containers behind open_weights() (weight_source.h), one function each.
#pragma once

#include <filesystem>
#include <memory>

#include "model/weight_source.h"

namespace llm {

std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& file,
                                               const EncryptionKey& key);
/// PyTorch's .bin, through the restricted unpickler.
std::unique_ptr<WeightSource> open_pytorch(const std::filesystem::path& file,
                                           const EncryptionKey& key);
/// Shards beside an index {"metadata": {"total_size"}, "weight_map": {tensor: shard}}. Each tensor
/// must be in the shard that the index names, and in no other; a wrong total_size is a warning, as
/// other programs write it in several ways.
std::unique_ptr<WeightSource> open_sharded_safetensors(const std::filesystem::path& index,
                                                       const EncryptionKey& key);
std::unique_ptr<WeightSource> open_sharded_pytorch(const std::filesystem::path& index,
                                                   const EncryptionKey& key);

/// Shows quantised weights and their scales as one entry; returns `stored` where there are none.
std::unique_ptr<WeightSource> join_scales(std::unique_ptr<WeightSource> stored);

}  // namespace llm
