// A model opened for text: weights in their quickest form, tokenizer, generation settings. What
// generate, chat and api begin with.
#pragma once

#include <memory>
#include <string>

#include "apps/torch_side.h"
#include "base/config.h"
#include "base/device.h"
#include "serving/constraint/constraint.h"
#include "serving/engine.h"
#include "serving/generation_config.h"
#include "tokenizer/tokenizer.h"

namespace llm {

struct TextModel {
  LoadedTokenModel loaded;
  std::unique_ptr<const Tokenizer> tokenizer;

  /// The exact bytes of an id; "" for control ids and for rows that only pad the embedding.
  std::string token_bytes(int32_t id) const;
};

/// The rows by which a verb is told its model.
void declare_model_rows(Fields& f, std::string& model_path, std::string& tokenizer_path);
/// A run config may be given to a verb that reads its section `generation`; the others are left
/// alone.
void accept_run_configs(Fields& f);

/// Weights and tokenizer side by side, without LibTorch where that is possible. Errors of
/// resolve_model_path, load_token_model and the tokenizer (bad input, exit 3).
TextModel open_text_model(const std::string& model_path, const std::string& tokenizer_path,
                          const RuntimeConfig& runtime, const Fields& fields);

/// `config` with what the model's generation_config.json and tokenizer add where the user said
/// nothing (rows "generation.*" of `fields`).
GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const Fields& fields);
GenerationLimits limits_of(const TextModel& model);
/// freeze() within the model's limits; what it warns of is logged.
FrozenGenerationConfig freeze_for(const TextModel& model, GenerationConfig config);

/// Guesses for speculation: a draft model, or prompt lookup where `path` is empty. The draft must
/// have the model's vocabulary; one with a mask token that says so in its config
/// (`pard_token`) drafts in parallel.
struct DraftModel {
  std::unique_ptr<TextModel> model;  // null: prompt lookup
  std::function<std::unique_ptr<Drafter>(const GenerationRequest&)> make;
};
DraftModel open_draft(const std::string& path, const TextModel& target,
                      const RuntimeConfig& runtime, const Fields& fields);

/// The grammar of a GBNF or JSON schema file for this model's tokens; null where both are empty.
std::shared_ptr<const Constraint> open_constraint(const std::string& grammar_file,
                                                  const std::string& schema_file,
                                                  const TextModel& model,
                                                  std::span<const int64_t> end_ids);

}  // namespace llm
