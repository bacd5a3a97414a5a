#include "serving/load_token_model.h"

#include <c10/core/InferenceMode.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "model/device.h"
#include "model/model_io.h"
#include "model/transformer.h"
#include "serving/packed_model.h"
#include "serving/transformer_model.h"

namespace llm {
namespace {

/// What config.json says the weights are stored as; float32 where it says nothing.
std::string stored_dtype(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  const nlohmann::json document = parse_json_file(file);
  const JsonView json(document, file.string());
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (json.has(key) && json.at(key).value().is_string()) return json.at(key).as_string();
  }
  return "float32";
}

at::ScalarType choose_dtype(const std::string& choice, const std::filesystem::path& directory,
                            at::Device device) {
  const at::ScalarType dtype = parse_dtype(choice == "auto" ? stored_dtype(directory) : choice);
  if (dtype != at::kHalf || !device.is_cpu()) return dtype;
  check(choice == "auto", "--dtype float16: not on a CPU; choose float32 or bfloat16");
  return at::kFloat;
}

}  // namespace

LoadedTokenModel::LoadedTokenModel() = default;
LoadedTokenModel::LoadedTokenModel(LoadedTokenModel&&) noexcept = default;
LoadedTokenModel& LoadedTokenModel::operator=(LoadedTokenModel&&) noexcept = default;
LoadedTokenModel::~LoadedTokenModel() = default;

LoadedTokenModel load_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options) {
  LoadedTokenModel loaded;
  loaded.directory = resolve_model_path(path);
  const at::Device device = resolve_device(options.device);
  const at::ScalarType dtype = choose_dtype(options.dtype, loaded.directory, device);
  const c10::InferenceMode inference;
  LoadedModel from_disk = load_model(loaded.directory, {.dtype = dtype, .device = device});
  loaded.config = from_disk.config;
  loaded.device = device.str();
  loaded.dtype = dtype_name(dtype);
  loaded.parameters = from_disk.model->flat_parameters().numel();
  const std::optional<std::string> reason =
      options.allow_packed ? why_not_packed(*from_disk.model) : "it was asked not to";
  loaded.packed = !reason;
  loaded.why_not_packed = reason.value_or("");
  if (loaded.packed) {
    loaded.model =
        std::make_unique<PackedModel>(*from_disk.model);  // holds copies: the Transformer may go
  } else {
    loaded.transformer = std::move(from_disk.model);
    loaded.model = std::make_unique<TransformerModel>(*loaded.transformer);
  }
  return loaded;
}

}  // namespace llm
