// What stands between a run config and a Trainer: tokenizer, data and model of a training run,
// found or made, and checked against each other.
//
// A verb that trains calls these in order: choose_start, choose_tokenizer, prepare_run_data,
// settle_model, open_loaders. Each changes the config so that it ends up resolved: written as
// RUN/config.yaml it repeats the run. Main thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_config.h"
#include "data/data_loader.h"
#include "model/transformer.h"
#include "tokenizer/tokenizer.h"
#include "training/checkpoint.h"
#include "training/trainer.h"

namespace llm {

/// RUN, made where it is not there. A folder that holds something else than a run is refused (exit
/// 2). One that was made here goes again when the object does, unless keep() was called: a run that
/// never began leaves nothing behind.
class RunDirectory {
 public:
  explicit RunDirectory(std::filesystem::path path);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void keep() { made_here_ = false; }

 private:
  std::filesystem::path path_;
  bool made_here_ = false;
};

/// Decides what a run continues from. With `never`, refuses (exit 2) a directory that holds a run,
/// or empties it under force. The caller holds the RunLock.
std::optional<ResumeChoice> choose_start(const CheckpointConfig& config);

/// The tokenizer of the run, in this order: named, the starting model's, the resumed checkpoint's,
/// RUN's own, or one trained on the run's text. Its file is copied into RUN. Sets
/// config.tokenizer.path where it was not trained here.
struct RunTokenizer {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::vector<std::filesystem::path>
      files;  // RUN/tokenizer.model and what else goes into every checkpoint
  bool trained_here = false;
  bool fewer_pieces = false;  // than were asked for: the built-in stories do not give more
};
RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start);

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
