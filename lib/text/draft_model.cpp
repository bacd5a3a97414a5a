#include "text/draft_model.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file_io.h"

namespace llm {
namespace {

/// The mask token of a model that was trained to draft in parallel (config key of PARD).
std::optional<int32_t> parallel_token(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  const auto json = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!json.is_object() || !json.contains("pard_token") || !json["pard_token"].is_number_integer())
    return std::nullopt;
  return json["pard_token"].get<int32_t>();
}

}  // namespace

DraftModel prompt_lookup() {
  DraftModel draft;
  draft.make = [](const GenerationRequest&) { return make_ngram_drafter(); };
  return draft;
}

DraftModel draft_with(TextModel opened, const TextModel& model, int64_t at_once) {
  DraftModel draft;
  draft.model = std::make_unique<TextModel>(std::move(opened));
  const TokenModel& tokens = *draft.model->loaded.model;
  check(tokens.vocab_size() == model.loaded.model->vocab_size(),
        "the draft model has {} tokens, the model {}", tokens.vocab_size(),
        model.loaded.model->vocab_size());
  if (const auto mask = parallel_token(draft.model->loaded.directory)) {
    check(*mask >= 0 && *mask < tokens.vocab_size(), "pard_token {} is not a token of the draft",
          *mask);
    draft.make = [&tokens, id = *mask, at_once](const GenerationRequest& request) {
      return make_parallel_drafter(tokens, id, at_once, request.config.tokens());
    };
  } else {
    check(at_once == kParallelTokens,
          "num_parallel_tokens {} has no effect: the draft does not guess in parallel (its "
          "config.json has no pard_token)",
          at_once);
    draft.make = [&tokens](const GenerationRequest& request) {
      return make_model_drafter(tokens, request.config, request.sequence);
    };
  }
  return draft;
}

}  // namespace llm
