// The files by which Hugging Face's libraries open a tokenizer: tokenizer.json,
// tokenizer_config.json, special_tokens_map.json.
//
// They give the same ids there for every valid text; what only this program does (NUL, U+2581 and
// invalid UTF-8 through the byte pieces) stays with tokenizer.model. Pure functions; thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llm {

/// Those of the three that are not among tokenizer.files(). Throws Error(bad_input) naming the
/// feature where they cannot say what this tokenizer does (types char and word).
std::vector<TokenizerFile> hub_files(const Tokenizer& tokenizer, std::string_view chat_template);

/// tokenizer.files() and, where they can be had, hub_files(): what a model directory holds.
std::vector<TokenizerFile> model_directory_files(const Tokenizer& tokenizer,
                                                 std::string_view chat_template);

}  // namespace llm
