// What training runs leave in their directory, told apart from what others put there. Main thread
// only.
#pragma once

#include <filesystem>
#include <vector>

namespace llm {

/// Whether a run began in this folder, wherever it ended. A run makes run.lock first, which goes
/// with its process unless that is killed; a log line before it can fail; then its tokenizer and
/// data, metrics.jsonl, run.json and checkpoints. Names that others use as well (config.yaml,
/// tokenizer.json, a training.log or metrics.jsonl of another shape) say nothing.
bool holds_a_run(const std::filesystem::path& folder);

/// The name of the file by which a folder is a model directory itself: config.json or weights. A
/// run keeps its models in folders of their own. Empty where there is none.
std::filesystem::path model_file_of(const std::filesystem::path& folder);

/// Whether a folder holds nothing but what a run writes before its first step.
bool holds_only_a_start(const std::filesystem::path& run);

/// What a run that starts over removes: the records, links and models that a run wrote. The config,
/// which the new run overwrites, its tokenizer, log and prepared data stay.
std::vector<std::filesystem::path> remains_of_run(const std::filesystem::path& run);

/// RUN/final with config and weights. Half of one counts as none: the run makes it anew.
bool has_final_model(const std::filesystem::path& run);

/// The name of a file that no run put into a checkpoint or RUN/final; empty where there is none.
std::filesystem::path others_file_in(const std::filesystem::path& model);

/// Whether a checkpoint or the final model of the run that `file` lies in holds a copy of it, byte
/// for byte: then the run wrote it.
bool is_in_a_model_of_the_run(const std::filesystem::path& file);

}  // namespace llm
