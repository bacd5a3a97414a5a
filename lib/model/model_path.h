// What --model-path means.
#pragma once

#include <filesystem>

namespace llm {

/// What the user means by a path: a run directory (final, else best, else latest), a checkpoint, a
/// Hugging Face directory, a .gguf file, the name of a model in the hub's cache. Returns the model
/// directory (the one with config.json) or the .gguf file. Throws Error(bad_input) saying what is
/// wrong and how a model is made, also where a checkpoint's files do not have the sizes that its
/// manifest says (model/manifest.h).
std::filesystem::path resolve_model_path(const std::filesystem::path& path);

}  // namespace llm
