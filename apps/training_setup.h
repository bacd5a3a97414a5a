// What stands between a run's data and a Trainer: loaders, and everything the trainer is told. Main
// thread only.
#pragma once

#include <memory>
#include <optional>

#include "apps/run_config.h"
#include "apps/run_tokenizer.h"
#include "data/data_loader.h"
#include "training/checkpoint.h"
#include "training/trainer.h"

namespace llm {

struct RunLoaders {
  std::unique_ptr<DataLoader> train;
  std::unique_ptr<DataLoader> validation;       // null: none
  std::unique_ptr<DataLoader> long_validation;  // the same text in longer rows; null: none
};
RunLoaders open_loaders(const RunConfig& config, const RunData& data, const Tokenizer& tokenizer);

/// For a resume, before anything is prepared: refuses (exit 3) by name what the config asks for and
/// the run in `checkpoint` was not made with, as far as that is known without the data. The trainer
/// compares the rest.
void check_resume(const RunConfig& config, const Fields& fields, const RunTokenizer& tokenizer,
                  const std::filesystem::path& checkpoint);

/// Everything the trainer needs except callbacks. `loaders` must outlive it. Shortens a warm-up
/// that nobody asked for and that the run is too short for. `start`: what the run goes on from.
TrainerSetup trainer_setup(RunConfig& config, const Fields& fields, const RunTokenizer& tokenizer,
                           RunLoaders& loaders, const std::optional<ResumeChoice>& start);

}  // namespace llm
