// A model directory: config.json, model.safetensors (or shards with model.safetensors.index.json,
// or PyTorch's .bin), generation_config.json beside them. Or one .gguf file, which holds all of it.
//
// Loading goes WeightSource (the container) -> ParameterSource (the family's map) -> Transformer,
// tensor by tensor, so that a model is in memory once. Saving writes what transformers reads, under
// the family that the config names; a tied model has one copy. Errors are Error(bad_input) and name
// the file and tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/load_config.h"
#include "model/model_path.h"
#include "model/transformer.h"
#include "model/weight_writer.h"

namespace llm {

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  bool check_finite = false;  // refuse NaN and Inf by tensor name
  EncryptionKey key = {};     // opens what is encrypted
};

struct LoadedModel {
  ModelConfig config;
  std::unique_ptr<Transformer> model;
  std::filesystem::path directory;
};

LoadedModel load_model(const std::filesystem::path& path, const LoadOptions& options = {});
/// Copies a model directory's weights into an existing model of the same shape; used by resume.
void load_weights(Transformer& model, const std::filesystem::path& model_directory,
                  bool check_finite = false, const EncryptionKey& key = {});

struct SaveOptions {
  std::optional<at::ScalarType> dtype = {};  // of the files; absent: the model's own
  uint64_t max_shard_bytes = 0;              // 0: one file
  std::map<std::string, std::string> metadata = {};
  EncryptionKey key = {};  // the weights are sealed with it
};

/// Writes config.json, generation_config.json and the weights into an existing directory.
void save_model(const Transformer& model, const std::filesystem::path& directory,
                const SaveOptions& options = {});

/// What the files of this model hold, by the family's names; `parameter` gives ours.
std::vector<OutgoingTensor> outgoing_tensors(
    const ModelConfig& config, std::function<at::Tensor(const std::string& name)> parameter);
/// config.json and, unless it is there already, generation_config.json.
void save_config(const ModelConfig& config, at::ScalarType dtype,
                 const std::filesystem::path& directory);

using TensorMap = std::vector<std::pair<std::string, at::Tensor>>;
/// Any named tensors in one safetensors file, in the given order: optimizer state. CPU or device
/// tensors. With a key the file is sealed.
void save_tensors(const std::filesystem::path& file, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata = {},
                  const EncryptionKey& key = {});

/// An open safetensors file as tensors over the mapping (no copy; each tensor keeps the mapping
/// alive; treat as read-only).
struct TensorFile {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};
TensorFile map_tensors(const std::filesystem::path& file, const EncryptionKey& key = {});

/// Throws Error(bad_input, "<name> contains 12 NaN values") at the first parameter that is not
/// finite.
void check_finite(const Transformer& model, const std::string& source_name);

}  // namespace llm
