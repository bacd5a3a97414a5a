#include "serving/load_token_model.h"

#include <c10/core/InferenceMode.h>

#include "base/error.h"
#include "model/device.h"
#include "model/model_io.h"
#include "model/model_size.h"
#include "model/parameter_source.h"
#include "model/transformer.h"
#include "serving/packed_model.h"
#include "serving/transformer_model.h"

namespace llm {
namespace {

/// As stored, where the CPU computes with it: float16 is held exactly by float32; what was
/// quantised goes on in bfloat16.
at::ScalarType dtype_of_stored(const std::string& stored, at::Device device) {
  if (stored == "F32" || stored == "F64") return at::kFloat;
  if (stored == "F16") return device.is_cpu() ? at::kFloat : at::kHalf;
  return at::kBFloat16;
}

at::ScalarType choose_dtype(const std::string& choice, const std::string& stored,
                            at::Device device) {
  if (choice == "auto") return dtype_of_stored(stored, device);
  const at::ScalarType dtype = parse_dtype(choice);
  check(dtype != at::kHalf || !device.is_cpu(),
        "--dtype float16: not on a CPU; choose float32 or bfloat16");
  return dtype;
}

/// Parameters straight from the file, whose pages may leave memory as soon as they are packed.
ParameterReader reader_of(std::shared_ptr<const ParameterSource> source, at::ScalarType dtype) {
  const std::string stored = source->stored_dtype();
  return {.read =
              [source](const std::string& name) {
                return source->has(name) ? source->parameter(name) : at::Tensor();
              },
          .done = [source](const std::string& name) { source->release(name); },
          .in_place = (stored == "F32" && dtype == at::kFloat) ||
                      (stored == "BF16" && dtype == at::kBFloat16)};
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
  loaded.config = load_model_config(loaded.directory);
  const auto source =
      std::make_shared<const ParameterSource>(loaded.config, open_weights(loaded.directory));
  const at::ScalarType dtype = choose_dtype(options.dtype, source->stored_dtype(), device);
  const c10::InferenceMode inference;
  loaded.device = device.str();
  loaded.dtype = dtype_name(dtype);
  loaded.parameters = parameter_count(loaded.config);
  const std::optional<std::string> reason =
      options.allow_packed ? why_not_packed(loaded.config, dtype, device) : "it was asked not to";
  loaded.packed = !reason;
  loaded.why_not_packed = reason.value_or("");
  if (loaded.packed) {
    loaded.model = std::make_unique<PackedModel>(loaded.config, dtype, reader_of(source, dtype));
  } else {
    auto transformer = std::make_unique<Transformer>(loaded.config, dtype, device);
    source->copy_into(*transformer);
    loaded.transformer = std::move(transformer);
    loaded.model = std::make_unique<TransformerModel>(*loaded.transformer);
  }
  return loaded;
}

}  // namespace llm
