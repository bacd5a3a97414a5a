#include "serving/text/text_model.h"

#include <algorithm>
#include <future>
#include <iterator>

#include "base/error.h"
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

}  // namespace

std::string TextModel::token_bytes(int32_t id) const {
  return id < tokenizer->vocab_size() ? std::string(tokenizer->token_bytes(id)) : std::string();
}

TextModel open_text_model(const std::string& model_path, const std::string& tokenizer_path,
                          const TokenModelOptions& options) {
  const std::filesystem::path directory = resolve_model_path(model_path);
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
  return model;
}

GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const std::function<bool(std::string_view key)>& is_explicit) {
  adopt_model_defaults_from(config, model.loaded.directory, is_explicit);
  const int64_t eos = model.tokenizer->eos_id();
  auto& ids = config.eos_token_id;
  if (eos >= 0 && eos < model.loaded.config.vocab_size &&
      std::find(ids.begin(), ids.end(), eos) == ids.end())
    ids.push_back(eos);
  if (!config.pad_token_id && model.tokenizer->pad_id() >= 0)
    config.pad_token_id = model.tokenizer->pad_id();
  return config;
}

GenerationLimits limits_of(const TextModel& model) {
  return {.vocab_size = model.loaded.config.vocab_size,
          .context_length = model.loaded.config.max_position_embeddings};
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
