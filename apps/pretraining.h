// What stands between a run config and a Trainer: data and model of a training run, made and
// checked against its tokenizer.
//
// A verb that trains calls these in order: choose_start (run_directory.h), choose_tokenizer
// (run_tokenizer.h), settle_model, prepare_run_data, open_loaders. Each changes the config so that
// it ends up resolved: written as RUN/config.yaml it repeats the run. Main thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_config.h"
#include "apps/run_tokenizer.h"
#include "data/data_loader.h"
#include "model/transformer.h"
#include "tokenizer/tokenizer.h"
#include "training/trainer.h"

namespace llm {

/// Sets model.vocab_size from the tokenizer where it was not given, else checks it; takes the shape
/// of checkpoint.model_path where one is named; resolves precision, seed, row length and threads.
void settle_model(RunConfig& config, const Fields& fields, const RunTokenizer& tokenizer);

/// A fresh model, or the weights of checkpoint.model_path; with checkpoint.resize_embeddings the
/// rows that the old vocabulary lacks are fresh.
std::unique_ptr<Transformer> make_model(const RunConfig& config);

struct RunLoaders {
  std::unique_ptr<DataLoader> train;
  std::unique_ptr<DataLoader> validation;  // null: none
};
RunLoaders open_loaders(const RunConfig& config, const RunData& data, const Tokenizer& tokenizer);

/// Everything the trainer needs except callbacks. `loaders` must outlive it.
TrainerSetup trainer_setup(const RunConfig& config, const RunTokenizer& tokenizer,
                           RunLoaders& loaders);

/// Names a data set: its index, and samples from its tokens.
std::string data_sha256(const TokenFile& file);

}  // namespace llm
