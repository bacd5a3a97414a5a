#include "apps/text_model.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/number_text.h"
#include "model/kernels/cpu_backend.h"
#include "serving/constraint/gbnf.h"
#include "serving/constraint/json_schema.h"
#include "serving/http/api/served_model.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::string read_whole(const std::string& path, const char* what) {
  std::error_code unused;
  check(!fs::is_directory(path, unused), "{} '{}' is a directory, expected a file", what, path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_errno(fmt::format("cannot open {} '{}'", what, path), Exit::usage);
  return rest_of(file, fmt::format("{} '{}'", what, path));
}

}  // namespace

std::string rest_of(std::istream& stream, const std::string& subject) {
  std::string text;
  for (std::array<char, 65536> part; stream.read(part.data(), part.size()), stream.gcount() > 0;)
    text.append(part.data(), static_cast<size_t>(stream.gcount()));
  if (stream.bad()) fail_errno("cannot read " + subject);
  return text;
}

void declare_model_rows(Fields& f, TextModelPaths& paths, bool takes_adapter) {
  const auto row = [&](const char* name, const char* flag, std::string& value, const char* doc,
                       const char* kind) {
    return f(name, value, doc).flag(flag).flag_only().value_name(kind);
  };
  paths.model = "checkpoints";
  f("model_path", paths.model, "Run, checkpoint, model or adapter directory, or .gguf file",
    non_empty())
      .flag("model-path")
      .flag_only()
      .value_name("DIR");
  row("tokenizer_path", "tokenizer-path", paths.tokenizer,
      "Tokenizer file, if the model directory has none", "FILE");
  if (takes_adapter)
    row("adapter", "adapter", paths.adapter, "LoRA adapter of the model, in PEFT's layout", "DIR");
  f("quantize", paths.quantize,
    "Weights rounded as they are read: a half (int8, fp8) or less (int4) of bfloat16's memory",
    one_of({"none", "int8", "fp8", "int4"}))
      .flag("quantize")
      .flag_only();
  row("base_model_path", "base-model-path", paths.base_model,
      "Where --model-path is an adapter: its base, if not the one that it names", "DIR");
}

void show_generation_rows(Fields& f) { f.show_only({"", "generation", "serving"}); }

TextModel open_text_model(const TextModelPaths& paths, const RuntimeConfig& runtime) {
  TextModel model = open_text_model(
      paths, TokenModelOptions{.device = runtime.device,
                               .dtype = runtime.dtype,
                               .quantize = paths.quantize,
                               .threads = static_cast<int>(runtime.threads),
                               .key = read_encryption_key(runtime.encryption_key_file)});
  const LoadedTokenModel& loaded = model.loaded;
  log_info("model {} | {} parameters, {} on {}{}", loaded.directory.string(),
           human_count(loaded.parameters), loaded.dtype, loaded.device,
           loaded.quantization == "none"
               ? ""
               : fmt::format(", weights in {} ({} MiB a token)", loaded.quantization,
                             loaded.weight_bytes >> 20));
  if (model.adapter) log_info("adapter {}", model.adapter_directory.string());
  if (loaded.packed) {
    log_debug("kernels: {}", cpu_backend_text());
  } else {
    log_debug("plain decoding: {}", loaded.why_not_packed);
  }
  return model;
}

GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const Fields& fields) {
  return with_model_defaults(std::move(config), model, [&](std::string_view key) {
    return fields.is_set(fmt::format("generation.{}", key));
  });
}

DraftModel open_draft(const std::string& path, const TextModel& target,
                      const RuntimeConfig& runtime, int64_t at_once) {
  if (path.empty()) return prompt_lookup();
  return draft_with(open_text_model({.model = path}, runtime), target, at_once);
}

std::shared_ptr<const Constraint> open_constraint(const std::string& grammar_file,
                                                  const std::string& schema_file,
                                                  const TextModel& model,
                                                  std::span<const int64_t> end_ids) {
  check(grammar_file.empty() || schema_file.empty(),
        "--grammar and --json-schema cannot be used together");
  if (grammar_file.empty() && schema_file.empty()) return nullptr;
  std::shared_ptr<const Grammar> grammar;
  if (!grammar_file.empty()) {
    grammar = parse_gbnf(read_whole(grammar_file, "grammar"));
  } else {
    const std::string text = read_whole(schema_file, "schema");
    grammar = schema_grammar(parse_ordered_json(text, schema_file, {.exit = Exit::usage}));
  }
  const std::vector<int32_t> ends(end_ids.begin(), end_ids.end());
  return std::make_shared<const Constraint>(std::make_shared<const TokenGrammar>(
      std::move(grammar),
      api::vocabulary_of(*model.tokenizer, model.loaded.config.vocab_size, ends)));
}

}  // namespace llm
