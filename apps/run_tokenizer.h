// The tokenizer of a training run: found, or trained on the run's text. Main thread only.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_config.h"
#include "base/signals.h"
#include "tokenizer/tokenizer.h"
#include "training/checkpoint.h"

namespace llm {

/// The tokenizer of the run, in this order: named, the starting model's, the resumed checkpoint's,
/// RUN's own, or one trained on the run's text. Its file is copied into RUN. Sets
/// config.tokenizer.path where it was not trained here, and, for a run that goes on from a model,
/// data.add_bos to what that tokenizer does with a text.
struct RunTokenizer {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::vector<std::filesystem::path>
      files;  // RUN/tokenizer.model and what else goes into every checkpoint
  bool trained_here = false;
  bool decides_rows =
      false;  // the model has as many rows as there are pieces, whatever a file says
};
/// Throws Stopped where `stop` asks while one is trained.
RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start,
                              const StopRequest& stop = {});

/// A path as it stands in RUN/config.yaml; "" and "-" stay.
std::string absolute_text(const std::string& path);

}  // namespace llm
