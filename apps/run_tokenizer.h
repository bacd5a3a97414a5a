// The tokenizer of a training run: found, or trained on the run's text. Main thread only.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_config.h"
#include "apps/tokenizer_settings.h"
#include "base/signals.h"
#include "tokenizer/tokenizer.h"
#include "training/checkpoint.h"

namespace llm {

/// The tokenizer of the run, in this order: named, the starting model's, the resumed checkpoint's,
/// the one that an attempt without a checkpoint trained from the same text with the same settings
/// (tokenizer_record.h), or one trained on the run's text now. Nothing is written. Sets
/// config.tokenizer.path where it was not trained here, and, for a run that goes on from a model,
/// data.add_bos to what that tokenizer does with a text. A resume whose settings ask for another
/// tokenizer than the checkpoint's is refused (exit 3).
struct RunTokenizer {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::vector<std::filesystem::path>
      files;  // RUN/tokenizer.model and what else goes into every checkpoint
  std::vector<TokenizerFile> contents;  // what write_tokenizer() puts there
  std::string made_from;                // of one that was trained on the run's text
  TokenizerSettings settings;           // for the checkpoints; none where an older one did not say
  bool trained_here = false;
  bool decides_rows =
      false;  // the model has as many rows as there are pieces, whatever a file says
};
/// Throws Stopped where `stop` asks while one is trained.
RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start,
                              const StopRequest& stop = {});

/// Puts the tokenizer's files into `run`, as far as they are not there already.
void write_tokenizer(const RunTokenizer& chosen, const std::filesystem::path& run);

}  // namespace llm
