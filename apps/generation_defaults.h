// What a training run says about writing: the keys of its section `generation` become the
// generation_config.json of its models, from which generate, chat and api start.
#pragma once

#include <filesystem>
#include <optional>

#include "apps/run_config.h"

namespace llm {

/// Writes RUN/generation_config.json: the model's token ids and every key of `generation` that
/// differs from the program's own default. Nothing, and no file, where none does.
std::optional<std::filesystem::path> write_generation_defaults(const RunConfig& config,
                                                               const std::filesystem::path& run);

}  // namespace llm
