// RUN/run.json: what went into a run and what came out, so that it can be named, repeated and
// compared. Written at the start and again at the end, whole.
#pragma once

#include <filesystem>
#include <string>

#include "apps/run_config.h"
#include "model/transformer.h"
#include "training/trainer.h"

namespace llm {

struct RunRecord {
  std::string started;   // ISO 8601, UTC
  std::string finished;  // empty while it runs
  int64_t seed = 0;
  int64_t threads = 0;
  std::string device;
  RunIdentity identity;
  int64_t parameters = 0;
  std::string precision;
  std::string kernels;                // training_kernels()
  std::string resumed_from;           // checkpoint, empty for a new run
  std::string result;                 // running, finished, early_stopping, signal, failed
  std::string error;                  // why it failed, else empty
  double entropy_nats_per_token = 0;  // of built-in data, else 0
  TrainingResult training;
};

std::string utc_now();
void write_run_record(const std::filesystem::path& run, const RunRecord& record);

/// Whether run.json says that the run came to an end of its own; so it is without one, too. A
/// process that dies or fails after the final model is there leaves "running" or "failed".
bool is_recorded_as_ended(const std::filesystem::path& run);

}  // namespace llm
