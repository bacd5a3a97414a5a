#include "model/weight_writer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "model/safetensors.h"
#include "model/tensor_file.h"

namespace llm {
namespace {

constexpr const char* kWeights = "model.safetensors";

uint64_t bytes_of(const OutgoingTensor& tensor, at::ScalarType dtype) {
  const int64_t count =
      std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
  return static_cast<uint64_t>(count) * c10::elementSize(dtype);
}

// Tensors in their order, a new shard where the next would not fit; one that fits nowhere gets a
// shard to itself.
std::vector<std::span<const OutgoingTensor>> cut(const std::vector<OutgoingTensor>& tensors,
                                                 const WeightFileOptions& options) {
  std::vector<std::span<const OutgoingTensor>> shards;
  size_t first = 0;
  uint64_t filled = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t bytes = bytes_of(tensors[i], options.dtype);
    if (i > first && options.max_shard_bytes > 0 && filled + bytes > options.max_shard_bytes) {
      shards.emplace_back(tensors.data() + first, i - first);
      first = i;
      filled = 0;
    }
    filled += bytes;
  }
  shards.emplace_back(tensors.data() + first, tensors.size() - first);
  return shards;
}

void write_shard(const std::filesystem::path& file, std::span<const OutgoingTensor> tensors,
                 const WeightFileOptions& options) {
  std::vector<SafetensorsPlan> plan;
  for (const OutgoingTensor& tensor : tensors) {
    plan.push_back({tensor.name, safetensors_dtype(options.dtype), tensor.shape,
                    bytes_of(tensor, options.dtype)});
  }
  at::Tensor held;
  write_safetensors(
      file, plan,
      [&](size_t index) {
        held = tensors[index].values().detach().to(at::kCPU, options.dtype).contiguous();
        return std::span(static_cast<const std::byte*>(held.const_data_ptr()), held.nbytes());
      },
      options.metadata, options.key);
}

}  // namespace

uint64_t weight_bytes(const std::vector<OutgoingTensor>& tensors, at::ScalarType dtype) {
  uint64_t total = 0;
  for (const OutgoingTensor& tensor : tensors) {
    total += bytes_of(tensor, dtype);
  }
  return total;
}

std::vector<std::string> write_weights(const std::filesystem::path& directory,
                                       const std::vector<OutgoingTensor>& tensors,
                                       const WeightFileOptions& options) {
  const auto shards = cut(tensors, options);
  if (shards.size() == 1) {
    write_shard(directory / kWeights, shards[0], options);
    return {kWeights};
  }
  nlohmann::ordered_json index = {
      {"metadata", {{"total_size", weight_bytes(tensors, options.dtype)}}},
      {"weight_map", nlohmann::ordered_json::object()}};
  std::vector<std::string> files;
  for (size_t i = 0; i < shards.size(); ++i) {
    files.push_back(fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
    write_shard(directory / files.back(), shards[i], options);
    for (const OutgoingTensor& tensor : shards[i]) {
      index["weight_map"].push_back({tensor.name, files.back()});
    }
  }
  files.emplace_back("model.safetensors.index.json");
  write_file_atomically(directory / files.back(), index.dump(2) + "\n");
  return files;
}

}  // namespace llm
