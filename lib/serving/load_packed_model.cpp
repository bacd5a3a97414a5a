// The way to the first token that needs no LibTorch; see load_token_model.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/device.h"
#include "base/error.h"
#include "model/load_config.h"
#include "model/kernels/codes.h"
#include "model/model_path.h"
#include "model/model_size.h"
#include "model/parameter_layout.h"
#include "model/parameter_source.h"
#include "serving/load_token_model.h"
#include "serving/packed_model.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// `auto` is the CPU where there is nothing of another device to be seen.
bool is_cpu(const std::string& device) {
  return device == "cpu" ||
         (device == "auto" && !fs::exists("/dev/nvidiactl") && !fs::exists("/dev/dxg"));
}

/// As stored, where the CPU computes with it: float16 is held exactly by float32; what was
/// quantised goes on in bfloat16. Empty: not one of the packed formats.
std::string packed_dtype(const std::string& choice, const std::string& stored) {
  if (choice == "float32" || choice == "bfloat16") return choice;
  if (choice != "auto") return "";
  return stored == "F32" || stored == "F16" ? "float32" : "bfloat16";
}

bool are_numbers(const WeightSource& weights) {
  return weights.format() == "GGUF" ||
         std::all_of(weights.entries().begin(), weights.entries().end(), [](const auto& entry) {
           return entry.dtype == "F32" || entry.dtype == "F16" || entry.dtype == "BF16";
         });
}

bool all_in_rows(const ParameterSource& source, const ModelConfig& config) {
  const std::vector<ParameterPlace> places = parameter_layout(config);
  return std::all_of(places.begin(), places.end(), [&](const ParameterPlace& place) {
    return source.rows(place.name).has_value();
  });
}

/// Straight from the file, whose pages may leave memory as soon as they are packed.
ParameterReader file_reader(std::shared_ptr<const ParameterSource> source) {
  return {.read = [source](const std::string& name) -> std::optional<ParameterRows> {
            if (!source->has(name)) return std::nullopt;
            return ParameterRows{*source->rows(name), true};
          },
          .done = [source](const std::string& name) { source->release(name); }};
}

}  // namespace

ModelConfig load_causal_config(const fs::path& directory) {
  ModelConfig config = load_model_config(directory);
  if (config.use_bidirectional_attention) {
    fail(Exit::bad_input,
         fmt::format("'{}' restores masked tokens and does not go on with a text "
                     "(config.json: use_bidirectional_attention)",
                     directory.string()),
         "it was trained by --objective mlm or diffusion; clm makes models that write");
  }
  return config;
}

void take_packed(LoadedTokenModel& loaded, const TokenModelOptions& options,
                 const ParameterReader& parameters, int threads) {
  const std::optional<Codes> codes = parse_codes(options.quantize);
  check(codes.has_value(), "--quantize: '{}' is not one of none, int8, fp8, int4",
        options.quantize);
  auto model = std::make_unique<PackedModel>(loaded.config, loaded.dtype == "bfloat16", *codes,
                                             parameters, threads);
  loaded.packed = true;
  loaded.quantization = options.quantize;
  loaded.weight_bytes = model->bytes_per_token();
  loaded.model = std::move(model);
}

std::optional<LoadedTokenModel> load_packed_model(const fs::path& path,
                                                  const TokenModelOptions& options) {
  if (!options.allow_packed || !is_cpu(options.device)) return std::nullopt;
  LoadedTokenModel loaded;
  loaded.directory = resolve_model_path(path);
  loaded.config = load_causal_config(loaded.directory);
  std::unique_ptr<WeightSource> weights = open_stored_weights(loaded.directory, options.key);
  if (!are_numbers(*weights)) return std::nullopt;
  const auto source = std::make_shared<const ParameterSource>(loaded.config, std::move(weights));
  loaded.dtype = packed_dtype(options.dtype, source->stored_dtype());
  if (why_not_packed(loaded.config, loaded.dtype) || !all_in_rows(*source, loaded.config)) {
    return std::nullopt;
  }
  loaded.device = "cpu";
  loaded.parameters = parameter_count(loaded.config);
  take_packed(loaded, options, file_reader(source),
              options.threads > 0 ? options.threads : usable_cores());
  return loaded;
}

}  // namespace llm
