// What the tokenizer of a training run was trained with: what the config asks for now, what a
// checkpoint keeps of it, and what of it may differ on a resume. Main thread only.
#pragma once

#include <map>
#include <string>

#include "apps/run_config.h"
#include "tokenizer/tokenizer.h"

namespace llm {

/// Full keys ("tokenizer.model_type") with values as text, as TrainingState::settings has them: of
/// a named tokenizer its path alone, else everything that decides the training of one.
using TokenizerSettings = std::map<std::string, std::string>;

/// How many pieces to train, of the two keys that say so by the stronger source.
struct PiecesAsked {
  int64_t count = 0;
  FieldOrigin::Kind by = FieldOrigin::by_default;
  /// A file's or a preset's number is a wish, which a small text may leave open; an option is an
  /// order.
  bool binding() const { return by >= FieldOrigin::by_environment; }
};
PiecesAsked pieces_asked(const RunConfig& config, const Fields& fields);

/// Trains on the built-in corpus, whose few words do not fill every vocabulary.
bool tells_stories(const RunConfig& config);

/// Of the tokenizer that `config` names or has trained.
TokenizerSettings tokenizer_settings(const RunConfig& config, const Fields& fields);

/// Those among the settings of a checkpoint; none in one that was saved before there were any.
TokenizerSettings tokenizer_settings_of(const std::map<std::string, std::string>& checkpoint);

/// For a resume that takes the checkpoint's tokenizer: throws Error(bad_input) naming the first key
/// that asks for another one than `saved` made. A number of pieces is asked for by options alone.
void compare_tokenizer_settings(const TokenizerSettings& saved, const RunConfig& config,
                                const Fields& fields, const Tokenizer& tokenizer);

}  // namespace llm
