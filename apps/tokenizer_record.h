// What a run's tokenizer was trained from, RUN/data/trained_tokenizer.json:
//
//   {"made_from": {"text": {"files": [["/t.txt", size, time]], "split": "line", ...}, "settings":
//    {"tokenizer.model_type": "bpe", ...}, "fewer_allowed": true},
//    "files": [["tokenizer.model", SHA-256], ...]}
//
// An attempt that ended before its first checkpoint leaves a tokenizer behind: it is used again
// only by a run that would train the same one. Main thread only; Error(io) from files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/tokenizer_settings.h"

namespace llm {

/// What the tokenizer of this run would be trained from now, as JSON; "" where the text can be read
/// only once, so that nothing that lies there can be known to be of it.
std::string tokenizer_made_from(const RunConfig& config, const Fields& fields);

/// Whether a text that gives fewer pieces than asked for is no error.
bool fewer_pieces_allowed(const RunConfig& config, const Fields& fields);

/// The tokenizer that an earlier attempt trained in `run` from the same; none where there is none.
std::optional<std::filesystem::path> tokenizer_trained_before(const std::filesystem::path& run,
                                                              const std::string& made_from);

/// To be called before a tokenizer is written into `run`: forgets what the one there was trained
/// from, and removes those of its files that the new one, whose files are named, does not have.
void forget_trained_tokenizer(const std::filesystem::path& run,
                              const std::vector<std::filesystem::path>& files);

/// The files, named as they lie in `run`, were trained from that.
void record_trained_tokenizer(const std::filesystem::path& run, const std::string& made_from,
                              const std::vector<std::filesystem::path>& files);

}  // namespace llm
