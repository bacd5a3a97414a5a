// The chat template of a training run: what its conversations are rendered with, and what its
// models carry along. Main thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "apps/run_config.h"
#include "apps/run_tokenizer.h"
#include "data/chat_format.h"
#include "training/checkpoint.h"

namespace llm {

struct RunChatTemplate {
  ChatFormat format;
  std::filesystem::path file;       // RUN/data/chat_template.jinja; empty: the run has none
  std::optional<int32_t> turn_end;  // the control token that ends a reply
  /// Keeps the template's text in RUN, if it is not there already.
  void write() const;
};

/// The template that `run` asks for; of a prepared dataset the one that it was prepared with. Its
/// text is to be kept in RUN (write()), which the config then names: RUN/config.yaml repeats the
/// run. Exit 3: the dataset, or the run that goes on from `start`, has another.
RunChatTemplate choose_chat_template(RunConfig& run, const Tokenizer& tokenizer,
                                     const std::optional<ResumeChoice>& start);

/// Puts the template among the files of the run's models, in place of another, where the training
/// data, whose prefix is given, holds conversations; false where it holds none.
bool add_chat_template(const RunChatTemplate& chat, const std::filesystem::path& data,
                       RunTokenizer& tokenizer);

}  // namespace llm
