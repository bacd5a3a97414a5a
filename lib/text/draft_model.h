// What guesses ahead for a text model: a smaller model, or what the text has said before.
#pragma once

#include <functional>
#include <memory>

#include "serving/draft.h"
#include "text/text_model.h"

namespace llm {

struct GenerationRequest;

struct DraftModel {
  std::unique_ptr<TextModel> model;  // null: prompt lookup
  std::function<std::unique_ptr<Drafter>(const GenerationRequest&)> make;
};

DraftModel prompt_lookup();

inline constexpr int64_t kParallelTokens = 64;

/// The draft must have the model's vocabulary; one whose config.json names a mask token
/// (`pard_token`) guesses in parallel, up to `at_once` tokens in a pass, which others than
/// kParallelTokens may only be asked of such a draft. Error(usage).
DraftModel draft_with(TextModel draft, const TextModel& model, int64_t at_once = kParallelTokens);

}  // namespace llm
