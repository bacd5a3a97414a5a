// The built-in stories (data/synthetic.h) as the datasets of a run.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/signals.h"
#include "data/data_config.h"

namespace llm {

struct StoryCounts {
  int64_t training;    // from the first on
  int64_t validation;  // those that follow
};

/// data.synthetic_stories, and of them as many again as val_fraction says, between 1 and 400,
/// unless that is 0.
StoryCounts story_counts(const DataConfig& config);

/// Writes the training part and, where there are stories for it, the validation part. Throws
/// Stopped.
void write_stories(const DataConfig& config, const Tokenizer& tokenizer,
                   const std::filesystem::path& training, const std::filesystem::path& validation,
                   const StopRequest& stop);

/// Exact nats per token of the validation part; 0 where the tokenizer loses some of the text, so
/// that its tokens carry less.
double story_entropy(const DataConfig& config, const Tokenizer& tokenizer,
                     const std::filesystem::path& validation);

}  // namespace llm
