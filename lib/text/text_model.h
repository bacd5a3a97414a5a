// A model opened for text: weights in their quickest form, tokenizer, generation settings. What
// generate, chat, api and a C++ program (language_model.h) begin with.
//
// LibTorch is loaded only where the model does not run packed. Errors are those of
// resolve_model_path, load_token_model and the tokenizer (bad input, exit 3).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/decoder.h"
#include "serving/generation_config.h"
#include "serving/load_token_model.h"
#include "tokenizer/tokenizer.h"

namespace llm {

struct TextModel {
  LoadedTokenModel loaded;
  std::unique_ptr<const Tokenizer> tokenizer;
  ModelAdapterPtr adapter;                  // what texts are computed with; null: none
  std::filesystem::path adapter_directory;  // empty: none

  /// The exact bytes of an id; "" for control ids and for rows that only pad the embedding.
  std::string token_bytes(int32_t id) const;
};

/// What a model is opened from; "" for what is not given.
struct TextModelPaths {
  /// Whatever --model-path may be. A LoRA adapter: its base is opened with it.
  std::string model = {};
  std::string tokenizer = {};     // in place of the model's own
  std::string adapter = {};       // a LoRA adapter of the model
  std::string base_model = {};    // where `model` is an adapter: in place of the base that it names
  std::string quantize = "none";  // its weights, as they are read: none, int8, fp8, int4
};

/// Weights and tokenizer side by side.
TextModel open_text_model(TextModelPaths paths, const TokenModelOptions& options);

/// `config` with what the model's generation_config.json and tokenizer add where `is_explicit(key)`
/// does not say that the user set that key.
GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const std::function<bool(std::string_view key)>& is_explicit);
GenerationLimits limits_of(const TextModel& model);
/// freeze() within the model's limits; what it warns of is logged.
FrozenGenerationConfig freeze_for(const TextModel& model, GenerationConfig config);

/// One request per text, in the order of the prompts; beam search gives all texts of a prompt at
/// once. They keep a reference to the model.
std::vector<GenerationRequest> text_requests(std::span<const std::vector<int32_t>> prompts,
                                             const FrozenGenerationConfig& config,
                                             const TextModel& model);
/// Results of such requests with the further texts of beam searches in their places.
std::vector<GenerationResult> texts_in_order(std::vector<GenerationResult> results);

}  // namespace llm
