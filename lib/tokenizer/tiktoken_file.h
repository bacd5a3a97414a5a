// The tiktoken form of tokenizer.model, as Llama 3 was published: one line "base64 rank" per token.
//
// The file holds no special tokens and no pattern; those of Llama 3 are taken (256 special tokens
// after the last rank, the cl100k pattern). Merges follow from the ranks: two tokens merge if their
// joint bytes are a token, the lowest rank first.
#pragma once

#include <string_view>

#include "tokenizer/pipeline_tokenizer.h"

namespace llm {

/// True if most of the first lines are "base64 rank".
bool looks_like_tiktoken(std::string_view file);

/// Throws Error(Exit::bad_input): "'x' line 17: not a base64 token and a rank", duplicate tokens or
/// ranks, ranks with gaps, a byte without a token.
PipelineStages read_tiktoken(std::string_view file, std::string_view name);

}  // namespace llm
