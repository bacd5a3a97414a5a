// What a training run tells when it ends: its losses, and what to try next. Any thread.
#pragma once

#include <filesystem>
#include <string>

#include "apps/run_config.h"
#include "data/data_config.h"
#include "training/trainer.h"

namespace llm {

/// Lines for stdout. `next`: a command to try with the model; {} stands for the run directory.
std::string training_report(const RunConfig& config, const std::filesystem::path& run,
                            const TrainingResult& result, const RunData& data,
                            const std::string& next);

}  // namespace llm
