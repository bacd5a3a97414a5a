// A training run from its config to its final model: what the verbs that train have in common. Main
// thread only.
#pragma once

#include <cstdint>
#include <string>

#include "apps/run_config.h"
#include "training/trainer.h"

namespace llm {

/// How a verb trains.
struct TrainingVerb {
  std::string next;  // a command to try with the model; {} stands for the run directory
  decltype(TrainerSetup::on_step) on_step;  // may be empty
};

/// Ends the process with SIGKILL after that step; 0: never.
decltype(TrainerSetup::on_step) kill_at(int64_t step);

/// Trains, writes the run directory, prints the result; returns the exit code.
int run_training(RunConfig& run, const Fields& fields, const TrainingVerb& verb);

}  // namespace llm
