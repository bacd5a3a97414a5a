// The chat template of a training run: what its conversations are rendered with, and what its
// models carry along. Main thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "apps/run_config.h"
#include "apps/run_tokenizer.h"
#include "data/chat_format.h"
#include "data/token_file.h"

namespace llm {

struct RunChatTemplate {
  ChatFormat format;
  std::filesystem::path file;       // RUN/data/chat_template.jinja; empty: the run has none
  std::optional<int32_t> turn_end;  // the control token that ends a reply
};

/// The template that `run` asks for. Its text is kept in RUN, which the config then names, so that
/// RUN/config.yaml repeats the run.
RunChatTemplate choose_chat_template(RunConfig& run, const Tokenizer& tokenizer);

/// Puts the template among the files of the run's models, in place of another. The plain one, made
/// for a model that had none, only where the data holds conversations.
void add_chat_template(const RunChatTemplate& chat, const TokenFile& data, RunTokenizer& tokenizer);

}  // namespace llm
