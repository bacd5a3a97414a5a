// Weights into a model directory: model.safetensors or, past a size, shards
// model-00001-of-00003.safetensors with their index, as Hugging Face's save_pretrained lays them
// out.
//
// Tensors are asked for one at a time and let go after they are written, so that a model in another
// number format never exists as a whole. Each file appears whole or not at all (atomic_file.h); the
// index is written last. Throws Error(io).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/encryption_key.h"

namespace llm {

struct OutgoingTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> values;  // any float format, strides and device
};

struct WeightFileOptions {
  at::ScalarType dtype = at::kFloat;  // of the file
  uint64_t max_shard_bytes = 0;       // 0: one file, whatever its size
  std::map<std::string, std::string> metadata = {};
  EncryptionKey key = {};  // the files are sealed with it
};

/// Bytes that the weights will take in the files.
uint64_t weight_bytes(const std::vector<OutgoingTensor>& tensors, at::ScalarType dtype);

/// Returns the names of the files written, the index (if any) last.
std::vector<std::string> write_weights(const std::filesystem::path& directory,
                                       const std::vector<OutgoingTensor>& tensors,
                                       const WeightFileOptions& options);

}  // namespace llm
