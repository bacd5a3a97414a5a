// llm convert: a model in another container or number format.
#include <filesystem>

#include "apps/commands.h"
#include "apps/model_files.h"
#include "apps/shared_options.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/new_folders.h"
#include "base/number_text.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/device.h"
#include "model/gguf_export.h"
#include "model/model_io.h"
#include "model/model_size.h"
#include "model/parameter_source.h"
#include "tokenizer/gguf_tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

struct ConvertConfig {
  std::string model_path = "checkpoints";
  std::string output;
  std::string type = "auto";
  std::string max_shard_size = "5GB";
  bool overwrite = false;

  void fields(Fields& f) {
    f("model_path", model_path, "Run, checkpoint, model directory or .gguf file", non_empty())
        .flag("model-path")
        .flag_only()
        .value_name("DIR");
    f("output", output, "Directory for Hugging Face's form, or a file that ends in .gguf",
      non_empty())
        .flag("output")
        .flag_only()
        .required()
        .value_name("PATH");
    f("type", type, "Number format; auto: as the model is stored",
      one_of({"auto", "f32", "bf16", "f16", "q8_0", "q4_0"}))
        .flag("type")
        .flag_only();
    f("max_shard_size", max_shard_size, "Largest file of weights in a directory: 200MB, 5GB, 2GiB",
      matching([](const std::string& text) { return parse_byte_size(text) && text != "0"; },
               "a size as 200MB or 5GB"))
        .flag("max-shard-size")
        .flag_only()
        .value_name("SIZE");
    f("overwrite", overwrite, "Replace an output of the same kind that is there already")
        .flag("overwrite")
        .flag_only();
  }
};

at::ScalarType float_type(const std::string& type, const std::string& stored) {
  if (type != "auto") {
    return parse_dtype(type);
  }
  return stored == "F32" || stored == "F64" ? at::kFloat
         : stored == "F16"                  ? at::kHalf
                                            : at::kBFloat16;
}

/// Exit 2 where the output would take the place of something else.
void check_output(const ConvertConfig& config, const fs::path& source) {
  const fs::path output = config.output;
  if (!fs::exists(output)) {
    return;
  }
  check(!fs::equivalent(output, source), "--output '{}' is the model itself", config.output);
  const bool file = output.extension() == ".gguf";
  check(fs::is_directory(output) != file, "--output '{}' is a {}", config.output,
        file ? "directory" : "file");
  if (!file && fs::is_empty(output)) {
    return;
  }
  if (!config.overwrite) {
    fail(Exit::usage, fmt::format("'{}' exists{}", config.output, file ? "" : " and is not empty"),
         "choose another, or --overwrite");
  }
  check(file || fs::exists(output / "config.json"),
        "'{}' exists and is not a model directory: it is not overwritten", config.output);
}

/// Each asks first whether to go on.
std::vector<OutgoingTensor> tensors_to_write(const ModelConfig& model,
                                             const ParameterSource& parameters,
                                             const StopRequest& stop) {
  auto tensors =
      outgoing_tensors(model, [&](const std::string& name) { return parameters.parameter(name); });
  for (OutgoingTensor& tensor : tensors) {
    tensor.values = [&stop, values = std::move(tensor.values)] {
      end_if_asked(stop);
      return values();
    };
  }
  return tensors;
}

void convert_to_directory(const ConvertConfig& config, const fs::path& source,
                          const EncryptionKey& key, const StopRequest& stop) {
  const ModelConfig model = load_model_config(source);
  const ParameterSource parameters(model, open_weights(source, key));
  const at::ScalarType dtype = float_type(config.type, parameters.stored_dtype());
  const auto tensors = tensors_to_write(model, parameters, stop);
  const uint64_t bytes = weight_bytes(tensors, dtype);
  AtomicDirectory directory(config.output, bytes);
  const auto files = write_weights(
      directory.temporary(), tensors,
      {.dtype = dtype,
       .max_shard_bytes = static_cast<uint64_t>(parse_byte_size(config.max_shard_size).value)});
  copy_companions(source, directory.temporary());
  save_config(model, dtype, directory.temporary());
  directory.commit();
  write_stdout(fmt::format("wrote {}: {} {}, {}, {} file{} of weights\n", config.output,
                           human_count(parameter_count(model)), dtype_name(dtype),
                           human_bytes(bytes), files.size() == 1 ? 1 : files.size() - 1,
                           files.size() == 1 ? "" : "s"));
}

/// Of the source: its own tokenizer and chat template, as GGUF has them.
GgufMetadata tokenizer_keys(const fs::path& source, const ModelConfig& model) {
  if (!has_tokenizer(source)) {
    log_warn("{} has no tokenizer: neither will {}", source.string(), "the GGUF file");
    return {};
  }
  const auto tokenizer = open_model_tokenizer(source, "");
  return gguf_tokenizer_keys(tokenizer_parts(*tokenizer), model.vocab_size,
                             model_chat_template(source));
}

void convert_to_gguf(const ConvertConfig& config, const fs::path& source, const EncryptionKey& key,
                     const StopRequest& stop) {
  const ModelConfig model = load_model_config(source);
  const ParameterSource parameters(model, open_weights(source, key));
  const std::string stored = dtype_name(float_type("auto", parameters.stored_dtype()));
  const std::string type = config.type != "auto" ? config.type
                           : stored == "float32" ? "f32"
                           : stored == "float16" ? "f16"
                                                 : "bf16";
  const BlockFormat& format = parse_gguf_format(type);
  export_gguf(config.output, model, tensors_to_write(model, parameters, stop),
              {.format = &format,
               .name = fs::path(config.output).stem().string(),
               .tokenizer = tokenizer_keys(source, model)});
  write_stdout(fmt::format("wrote {}: {} {}, {}\n", config.output,
                           human_count(parameter_count(model)), format.name,
                           human_bytes(fs::file_size(config.output))));
}

int convert(ConvertConfig& config, const Fields& fields) {
  const fs::path source = resolve_model_path(config.model_path);
  const bool gguf = fs::path(config.output).extension() == ".gguf";
  check(gguf || (config.type != "q8_0" && config.type != "q4_0"),
        "--type {}: only a .gguf file holds blocks; a directory holds f32, bf16 or f16",
        config.type);
  check_output(config, source);
  const EncryptionKey key = shared_key(fields);
  remove_leftovers_of(config.output);
  const StopSignal signals;
  const StopRequest stop = [&] { return signals.requested(); };
  try {
    NewFolders folders(fs::path(config.output).parent_path());
    gguf ? convert_to_gguf(config, source, key, stop)
         : convert_to_directory(config, source, key, stop);
    folders.keep();
  } catch (const Stopped&) {
    log_info("ended by {}; nothing was written", signals.name());
    return 128 + signals.number();  // also at SIGUSR1: there is nothing to go on from
  }
  return 0;
}

}  // namespace

Command convert_command() {
  return make_command<ConvertConfig>(
      {.name = "convert",
       .aliases = {"export"},
       .summary = "Write a model as a Hugging Face directory or a GGUF file",
       .details =
           "The tokenizer, its settings, the chat template and generation_config.json go along. A\n"
           "directory that holds something else is never overwritten. Encrypted weights\n"
           "(--encryption-key-file) come out plain.\n\n"
           "  llm convert checkpoints --output hf --type bf16\n"
           "  llm convert hf --output model.gguf --type q8_0\n"
           "  llm verify-export checkpoints hf\n",
       .positional = "model_path"},
      convert);
}

}  // namespace llm
