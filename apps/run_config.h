// The whole run config: every section a config file may hold, and what a verb's defaults are.
//
// Each section's struct lives with the library that reads it; this file only puts them under their
// names. `pretrain_defaults()` is what `llm pretrain` starts from before file, environment and
// flags, a default-made RunConfig holds the reference's TrainingConfig defaults.
#pragma once

#include "base/config.h"
#include "base/device.h"
#include "base/log.h"
#include "data/data_config.h"
#include "model/model_config.h"
#include "serving/generation_config.h"
#include "tokenizer/tokenizer_trainer.h"
#include "training/training_config.h"

namespace llm {

/// Section `logging`: where lines go and how often numbers are taken.
struct LoggingSection {
  LoggingConfig log;
  MetricsConfig metrics;
  void fields(Fields& f);
};

/// Section `distributed`: this program runs as one process; other sizes are refused by the range of
/// the key.
struct DistributedSection {
  std::string distributed_backend = "gloo";
  int64_t data_parallel_size = 1;
  int64_t tensor_parallel_size = 1;
  int64_t pipeline_parallel_size = 1;
  bool zero_offload_params = false;
  void fields(Fields& f);
};

struct RunConfig {
  RuntimeConfig runtime;  // top level: device dtype threads seed encryption_key_file
  ModelConfig model;
  TokenizerTrainerConfig tokenizer;
  DataConfig data;
  TrainingConfig training;
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  CheckpointConfig checkpoint;
  LoggingSection logging;
  GenerationConfig generation;
  DistributedSection distributed;
  bool cut_short = false;              // max_steps may end the run within its warm-up
  bool for_later = false;              // written to be run later, where flags may name the data
  std::vector<std::string> set_aside;  // no key: what a stronger source left without effect

  void fields(Fields& f);
  /// The keys alone, without the rules over several of them.
  void sections(Fields& f);
};

/// Defaults of `llm pretrain`: learning rate 1e-5, one epoch, warm-up chosen by the length of the
/// run, checkpoints in `checkpoints`.
RunConfig pretrain_defaults();

/// Defaults of `llm finetune`: from the model in `checkpoints` to `finetuned`, three epochs at 5e-6
/// in steps of 8 x 4 documents, learning what the assistant says.
RunConfig finetune_defaults();

}  // namespace llm
