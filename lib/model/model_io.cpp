#include "model/model_io.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "model/device.h"
#include "model/hf_config.h"
#include "model/safetensors.h"
#include "model/tensor_file.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kConfig = "config.json";

// The files that hold a directory's weights; shards in the order of their names.
std::vector<fs::path> weight_files(const fs::path& directory) {
  if (fs::exists(directory / kWeights)) {
    return {directory / kWeights};
  }
  const fs::path index = directory / kIndex;
  if (!fs::exists(index)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
      const std::string suffix = entry.path().extension().string();
      if (suffix == ".pt" || suffix == ".pth" || suffix == ".bin") {
        fail(Exit::bad_input,
             fmt::format("{}: PyTorch pickle files are not loaded (they can run code)",
                         entry.path().string()),
             "save the model as safetensors: model.save_pretrained(DIR, safe_serialization=True)");
      }
    }
    fail(Exit::bad_input, fmt::format("'{}' has no {}", directory.string(), kWeights));
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : parse_safetensors_index(read_file(index), index.string())) {
    names.insert(shard);
  }
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    check_input(fs::exists(directory / name), "{}: index names '{}', not found", index.string(),
                name);
    files.push_back(directory / name);
  }
  return files;
}

// Names that other programs store and that hold nothing a model needs.
bool is_redundant(const std::string& name, const ModelConfig& config) {
  return (config.tie_word_embeddings && name == "lm_head.weight") ||
         name.find("rotary_emb.inv_freq") != std::string::npos;
}

struct WeightReport {
  std::vector<std::string> missing, unused;

  void require_complete(const std::string& source) const {
    if (missing.empty() && unused.empty()) {
      return;
    }
    const auto listed = [](const std::vector<std::string>& names) {
      std::string text = names.front();
      for (size_t i = 1; i < std::min<size_t>(names.size(), 3); ++i) {
        text += ", " + names[i];
      }
      return text + (names.size() > 3 ? ", ..." : "");
    };
    std::string message;
    if (!missing.empty()) {
      message = fmt::format("missing {} tensor{} ({})", missing.size(),
                            missing.size() == 1 ? "" : "s", listed(missing));
    }
    if (!unused.empty()) {
      message += fmt::format("{}{} not used ({})", message.empty() ? "" : "; ", unused.size(),
                             listed(unused));
    }
    fail(Exit::bad_input, source + ": " + message);
  }
};

void copy_weight(const Parameter& parameter, const at::Tensor& stored, const std::string& source) {
  check_input(stored.sizes() == parameter.tensor.sizes(),
              "{}: tensor '{}' is {} in the file, the model needs {}", source, parameter.name,
              shape_text(stored.sizes()), shape_text(parameter.tensor.sizes()));
  check_input(at::isFloatingType(stored.scalar_type()),
              "{}: tensor '{}' is stored as {}, not as floating-point weights", source,
              parameter.name, c10::toString(stored.scalar_type()));
  at::NoGradGuard no_grad;
  at::Tensor target = parameter.tensor;
  target.copy_(stored);
}

}  // namespace

ModelConfig load_model_config(const fs::path& model_directory) {
  return load_hf_config(model_directory / kConfig);
}

void load_weights(Transformer& model, const fs::path& model_directory, bool check_finite_values) {
  WeightReport report;
  std::set<std::string> loaded;
  std::string source;
  for (const fs::path& file : weight_files(model_directory)) {
    source = file.string();
    for (const auto& [name, tensor] : map_tensors(file).tensors) {
      if (const Parameter* parameter = model.find_parameter(name)) {
        check_input(loaded.insert(name).second, "{}: tensor '{}' is in two shards", source, name);
        copy_weight(*parameter, tensor, source);
      } else if (!is_redundant(name, model.config())) {
        report.unused.push_back(name);
      }
    }
  }
  for (const Parameter& parameter : model.named_parameters()) {
    if (!loaded.count(parameter.name)) {
      report.missing.push_back(parameter.name);
    }
  }
  report.require_complete(source);
  if (check_finite_values) {
    check_finite(model, source);
  }
  model.refresh_compute_copy();
}

LoadedModel load_model(const fs::path& path, const LoadOptions& options) {
  LoadedModel loaded;
  loaded.directory = resolve_model_path(path);
  loaded.config = load_model_config(loaded.directory);
  loaded.model = std::make_unique<Transformer>(loaded.config, options.dtype, options.device);
  load_weights(*loaded.model, loaded.directory, options.check_finite);
  return loaded;
}

void save_model(const Transformer& model, const fs::path& directory,
                std::optional<at::ScalarType> dtype,
                const std::map<std::string, std::string>& metadata) {
  const at::ScalarType stored = dtype.value_or(model.dtype());
  TensorMap tensors;
  for (const Parameter& parameter : model.named_parameters()) {
    tensors.emplace_back(parameter.name, parameter.tensor.detach().to(stored));
  }
  save_tensors(directory / kWeights, tensors, metadata);
  write_file_atomically(directory / kConfig, hf_config_text(model.config(), dtype_name(stored)));
  const ModelConfig& config = model.config();
  nlohmann::ordered_json generation;
  const std::pair<const char*, int64_t> ids[] = {{"bos_token_id", config.bos_token_id},
                                                 {"eos_token_id", config.eos_token_id},
                                                 {"pad_token_id", config.pad_token_id}};
  for (const auto& [key, id] : ids) {
    if (id >= 0) {
      generation[key] = id;
    }
  }
  if (!fs::exists(directory / "generation_config.json")) {
    write_file_atomically(directory / "generation_config.json", generation.dump(2) + "\n");
  }
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
