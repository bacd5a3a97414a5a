// Which settings of a text have no effect beside which others, for generate and chat. (For `llm
// api` they are defaults of requests, which may say what gives them one.)
//
// What decides may come from the model: its generation_config.json may ask for beams that nobody
// named, or for no draw. So a combination of what the user gave is refused before a model is
// opened, and what is left is judged with the model's settings: refused where nobody gives the
// setting an effect, and noted in the log where it is the model's own choice that takes it away.
#pragma once

#include <vector>

#include "apps/key_rules.h"
#include "serving/generation_config.h"

namespace llm {

using GenerationRule = KeyRule<GenerationConfig>;

/// Each is decided by one key; keys are paths of section `generation`.
const std::vector<GenerationRule>& generation_rules();

/// Throws Error(usage) at the first setting that what the user gave leaves without effect.
void refuse_idle_settings(const Fields& fields, const GenerationConfig& given);

/// The rest, once `settled` holds the model's own settings, too.
void refuse_idle_settings(const Fields& fields, const GenerationConfig& given,
                          const GenerationConfig& settled);

}  // namespace llm
