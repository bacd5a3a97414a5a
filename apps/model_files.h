// The files of a model directory besides its weights and config: what a copy of the model takes
// along.
#pragma once

#include <filesystem>
#include <vector>

#include "tokenizer/model_tokenizer.h"

namespace llm {

/// Tokenizer, chat template and generation settings that lie in a model directory (or, for the
/// tokenizer, in the run directory above it), as paths. Of a .gguf file: none.
std::vector<std::filesystem::path> companion_files(const std::filesystem::path& model);
/// Copies them, links resolved, and adds the files by which Hugging Face's libraries open the
/// tokenizer where it came without (as a SentencePiece model, in a .gguf file).
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace llm
