#include "text/text_model.h"

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "model/lora_adapter.h"
#include "model/model_path.h"
#include "model/weight_files.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

/// A tokenizer that the user names may leave rows of the embedding unused, as padding does, but not
/// fewer or more of them than the model's own one.
void check_given_tokenizer(const Tokenizer& given, const std::filesystem::path& model,
                           int64_t rows) {
  check_vocabulary(given, rows);
  if (!has_tokenizer(model)) return;
  if (given.vocab_size() == open_model_tokenizer(model, "")->vocab_size()) return;
  fail(Exit::bad_input,
       fmt::format("tokenizer has {} pieces, checkpoint embedding has {} rows", given.vocab_size(),
                   rows),
       "the model has a tokenizer of its own: leave out --tokenizer-path");
}

/// Where the model is an adapter: that, and its base as the model.
void take_adapter_apart(TextModelPaths& paths) {
  if (!is_adapter_directory(paths.model)) {
    check(paths.base_model.empty(), "--base-model-path needs an adapter as --model-path");
    return;
  }
  check(paths.adapter.empty(), "--adapter: '{}' is an adapter already, and a text has one",
        paths.model);
  paths.adapter = std::exchange(paths.model, paths.base_model);
  if (paths.model.empty()) paths.model = base_of_adapter(paths.adapter);
}

}  // namespace

std::string TextModel::token_bytes(int32_t id) const {
  return id < tokenizer->vocab_size() ? std::string(tokenizer->token_bytes(id)) : std::string();
}

TextModel open_text_model(TextModelPaths paths, const TokenModelOptions& options) {
  take_adapter_apart(paths);
  const std::string& tokenizer_path = paths.tokenizer;
  const std::filesystem::path directory = resolve_model_path(paths.model);
  // Beside the weights; what is wrong with those is said first.
  auto opening = std::async(std::launch::async,
                            [&] { return open_model_tokenizer(directory, tokenizer_path); });
  TextModel model;
  {
    const std::vector<MappedFile> read_ahead = map_weight_files(directory);
    model.loaded = open_token_model(directory, options);
  }
  model.tokenizer = opening.get();
  const int64_t rows = model.loaded.config.vocab_size;
  if (tokenizer_path.empty()) {
    check_vocabulary(*model.tokenizer, rows);
  } else {
    check_given_tokenizer(*model.tokenizer, model.loaded.directory, rows);
  }
  if (!paths.adapter.empty()) {
    model.adapter =
        model.loaded.model->adapt(load_lora_adapter(paths.adapter, model.loaded.config));
    model.adapter_directory = paths.adapter;
  }
  return model;
}

GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const std::function<bool(std::string_view key)>& is_explicit) {
  auto& ids = config.eos_token_id;
  const size_t asked = ids.size();
  const int64_t rows = model.loaded.config.vocab_size;
  adopt_model_defaults_from(config, model.loaded.directory, is_explicit);
  for (size_t i = asked; i < ids.size(); ++i) {
    if (ids[i] >= rows)
      fail(Exit::bad_input,
           fmt::format("{}: eos_token_id {} is not below vocab_size {}",
                       (model.loaded.directory / "generation_config.json").string(), ids[i], rows));
  }
  const int64_t eos = model.tokenizer->eos_id();
  if (eos >= 0 && eos < rows && std::find(ids.begin(), ids.end(), eos) == ids.end())
    ids.push_back(eos);
  if (!config.pad_token_id && model.tokenizer->pad_id() >= 0)
    config.pad_token_id = model.tokenizer->pad_id();
  return config;
}

GenerationLimits limits_of(const TextModel& model) {
  return {.vocab_size = model.loaded.config.vocab_size,
          .context_length = model.loaded.config.max_position_embeddings,
          .tokens = model.tokenizer->vocab_size()};
}

FrozenGenerationConfig freeze_for(const TextModel& model, GenerationConfig config) {
  std::vector<std::string> warnings;
  FrozenGenerationConfig frozen = freeze(std::move(config), limits_of(model), &warnings);
  for (const std::string& warning : warnings) log_warn("{}", warning);
  return frozen;
}

std::vector<GenerationRequest> text_requests(std::span<const std::vector<int32_t>> prompts,
                                             const FrozenGenerationConfig& config,
                                             const TextModel& model) {
  std::vector<GenerationRequest> requests;
  const int64_t per_prompt = config->num_beams > 1 ? 1 : config->num_return_sequences;
  for (const std::vector<int32_t>& prompt : prompts) {
    for (int64_t sequence = 0; sequence < per_prompt; ++sequence) {
      GenerationRequest request;
      request.prompt_ids = prompt;
      request.config = config;
      request.adapter = model.adapter;
      request.sequence = sequence;
      request.token_bytes = [&model](int32_t id) { return model.token_bytes(id); };
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

std::vector<GenerationResult> texts_in_order(std::vector<GenerationResult> results) {
  std::vector<GenerationResult> all;
  for (GenerationResult& result : results) {
    std::vector<GenerationResult> others = std::move(result.others);
    all.push_back(std::move(result));
    std::move(others.begin(), others.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace llm
