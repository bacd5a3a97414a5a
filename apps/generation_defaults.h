// What a training run says about writing: the keys of its section `generation` become the
// generation_config.json of its models, from which generate, chat and api start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "apps/run_config.h"

namespace llm {

/// Writes RUN/generation_config.json: what the starting model's own says, else the model's token
/// ids; `turn_end` among the ids that end a text; every key of `generation` about the text, not the
/// report, that differs from the program's own default. Nothing, and no file, where that leaves the
/// token ids alone. Another file of that name which no model of the run holds is renamed (.old).
std::optional<std::filesystem::path> write_generation_defaults(const RunConfig& config,
                                                               std::optional<int32_t> turn_end,
                                                               const std::filesystem::path& run);

}  // namespace llm
