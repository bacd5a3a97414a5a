// What a run keeps of the one that it goes on with, and what its config says of the beginning. Main
// thread only.
#pragma once

#include <filesystem>
#include <optional>

#include "apps/run_config.h"
#include "training/checkpoint.h"

namespace llm {

/// A resume keeps what the run chose for itself when it began, whatever it would choose now: the
/// seed, the precision, the model that it began from.
void keep_choices(RunConfig& run, const std::filesystem::path& checkpoint);

/// What config.yaml says of the beginning. What was meant once, for a checkpoint of the run itself
/// or to begin anew, is over; a checkpoint of another run is named for every working directory.
void settle_start(CheckpointConfig& config, const std::optional<ResumeChoice>& start);

}  // namespace llm
