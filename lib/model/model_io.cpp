#include "model/model_io.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "model/device.h"
#include "model/families/families.h"
#include "model/families/tensor_map.h"
#include "model/gguf_config.h"
#include "model/hf_config.h"
#include "model/parameter_source.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

}  // namespace

void load_weights(Transformer& model, const fs::path& model_directory, bool check_finite_values,
                  const EncryptionKey& key) {
  const ParameterSource source(model.config(), open_weights(model_directory, key));
  source.copy_into(model);
  if (check_finite_values) {
    check_finite(model, source.weights().place());
  }
  model.refresh_compute_copy();
}

LoadedModel load_model(const fs::path& path, const LoadOptions& options) {
  LoadedModel loaded;
  loaded.directory = resolve_model_path(path);
  loaded.config = load_model_config(loaded.directory);
  loaded.model = std::make_unique<Transformer>(loaded.config, options.dtype, options.device);
  load_weights(*loaded.model, loaded.directory, options.check_finite, options.key);
  return loaded;
}

std::vector<OutgoingTensor> outgoing_tensors(
    const ModelConfig& config, std::function<at::Tensor(const std::string& name)> parameter) {
  std::vector<OutgoingTensor> tensors;
  for (StoredTensor& stored : stored_tensors(config)) {
    const auto values = [stored, parameter] {
      std::vector<at::Tensor> parts;
      for (const std::string& name : stored.parameters) {
        parts.push_back(parameter(name));
      }
      return join_stored(stored, parts);
    };
    tensors.push_back({stored.name, stored.shape, values});
  }
  return tensors;
}

void save_config(const ModelConfig& config, at::ScalarType dtype, const fs::path& directory) {
  write_file_atomically(directory / "config.json", hf_config_text(config, dtype_name(dtype)));
  if (!fs::exists(directory / "generation_config.json")) {
    write_file_atomically(directory / "generation_config.json",
                          generation_ids(config).dump(2) + "\n");
  }
}

void save_model(const Transformer& model, const fs::path& directory, const SaveOptions& options) {
  const at::ScalarType stored = options.dtype.value_or(model.dtype());
  const auto parameter = [&model](const std::string& name) {
    return model.find_parameter(name)->tensor.detach();
  };
  write_weights(directory, outgoing_tensors(model.config(), parameter),
                {.dtype = stored,
                 .max_shard_bytes = options.max_shard_bytes,
                 .metadata = options.metadata,
                 .key = options.key});
  save_config(model.config(), stored, directory);
}

void check_finite(const Transformer& model, const std::string& source_name) {
  at::NoGradGuard no_grad;
  for (const Parameter& parameter : model.named_parameters()) {
    const int64_t nan = at::isnan(parameter.tensor).sum().item<int64_t>();
    check_input(nan == 0, "{}: {} contains {} NaN value{}", source_name, parameter.name, nan,
                nan == 1 ? "" : "s");
    const int64_t infinite = at::isinf(parameter.tensor).sum().item<int64_t>();
    check_input(infinite == 0, "{}: {} contains {} infinite value{}", source_name, parameter.name,
                infinite, infinite == 1 ? "" : "s");
  }
}

}  // namespace llm
