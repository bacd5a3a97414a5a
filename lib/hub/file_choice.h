// Which files of a repository are a model: config, tokenizer, chat template, and the weights in one
// form.
//
// Safetensors if there are any, else .bin, else .gguf; only files at the top level. Patterns are
// those of a shell ("*.gguf", "onnx/*"; * also matches slashes). Pure functions.
#pragma once

#include <string>
#include <vector>

namespace llm {

/// `include` replaces the choice, `exclude` takes away from it.
std::vector<std::string> choose_model_files(const std::vector<std::string>& names,
                                            const std::vector<std::string>& include,
                                            const std::vector<std::string>& exclude);

}  // namespace llm
