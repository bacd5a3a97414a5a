#include "serving/load_token_model.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include "base/device.h"
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

/// Parameters that have to be computed first (scales, other layouts), packed one by one.
ParameterReader tensor_reader(std::shared_ptr<const ParameterSource> source, at::ScalarType dtype) {
  return {.read = [source, dtype](const std::string& name) -> std::optional<ParameterRows> {
            if (!source->has(name)) return std::nullopt;
            return ParameterRows{stored_rows(source->parameter(name).to(dtype).contiguous())};
          },
          .done = [source](const std::string& name) { source->release(name); }};
}

}  // namespace

LoadedTokenModel load_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options) {
  const at::Device device = resolve_device(options.device);
  TokenModelOptions resolved = options;
  if (options.threads == 0) resolved.threads = at::get_num_threads();
  if (device.is_cpu()) {
    resolved.device = "cpu";
    if (auto packed = load_packed_model(path, resolved)) return std::move(*packed);
  }
  LoadedTokenModel loaded;
  loaded.directory = resolve_model_path(path);
  loaded.config = load_causal_config(loaded.directory);
  const auto source = std::make_shared<const ParameterSource>(
      loaded.config, open_weights(loaded.directory, options.key));
  const at::ScalarType dtype = choose_dtype(options.dtype, source->stored_dtype(), device);
  const c10::InferenceMode inference;
  loaded.device = device.str();
  loaded.dtype = dtype_name(dtype);
  loaded.parameters = parameter_count(loaded.config);
  const std::optional<std::string> reason = !options.allow_packed ? "it was asked not to"
                                            : !device.is_cpu()
                                                ? "the model is not on the CPU"
                                                : why_not_packed(loaded.config, loaded.dtype);
  loaded.why_not_packed = reason.value_or("");
  if (!reason) {
    take_packed(loaded, options, tensor_reader(source, dtype), resolved.threads);
  } else {
    if (options.quantize != "none")
      fail(Exit::usage,
           fmt::format("--quantize {}: weights can be rounded only where a model runs "
                       "packed on the CPU: {}",
                       options.quantize, *reason),
           "leave it out");
    auto transformer = std::make_shared<Transformer>(loaded.config, dtype, device);
    source->copy_into(*transformer);
    loaded.transformer = std::move(transformer);
    loaded.model = std::make_unique<TransformerModel>(*loaded.transformer);
  }
  return loaded;
}

}  // namespace llm

extern "C" llm::LoadTokenModel* llm_token_model_loader() {
  return [](const std::filesystem::path& path, const llm::TokenModelOptions& options) {
    at::set_num_threads(options.threads > 0 ? options.threads : llm::usable_cores());
    return llm::load_token_model(path, options);
  };
}
