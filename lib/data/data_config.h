// The `data` section of a run config, and the step that turns whatever it names into token files: a dataset is used where it lies, raw text is prepared
// into RUN/data, nothing at all means the built-in story corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare.h"

namespace llm {

class Fields;
class Tokenizer;

struct DataConfig {
  std::vector<std::string> path;    // text, JSONL, .zst files or one dataset prefix; empty = the story corpus
  std::string validation_path;      // text or dataset prefix; empty = split off the training data
  double val_fraction = 0.05;
  std::string val_split = "hash";
  std::string format = "auto";
  std::string split = "line";
  std::string field;
  bool skip_bad = false;
  bool allow_invalid_utf8 = false;
  bool add_bos = false;
  bool shuffle = true;
  bool shift_windows = true;
  int64_t workers = 1;              // prefetch threads while training, 0 = none
  int64_t synthetic_stories = 20000;
  int64_t synthetic_seed = 1;

  void fields(Fields& f);
};

/// What the run trains on. Validation may be empty.
struct RunData {
  std::filesystem::path train;
  std::filesystem::path validation;
  bool synthetic = false;
  double entropy_nats_per_token = 0;   // story corpus: exact mean over the validation stories (eos included as certain), else 0
  int64_t validation_text_bytes = 0;   // 0 = not known
};

/// A pull source over the training text of a config (raw text or stories), for training a tokenizer on it. Exit 2 if the path is a dataset.
std::function<bool(std::string&)> training_text(const DataConfig& config);

/// Prepares RUN/data/{train,val} where needed; existing files there are reused when text, options and tokenizer are unchanged.
RunData prepare_run_data(const DataConfig& config, const Tokenizer& tokenizer, const std::filesystem::path& run_directory, uint64_t seed);

}  // namespace llm
