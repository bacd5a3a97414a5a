// Where a model keeps its tokenizer and chat template.
//
// A model is a directory as Hugging Face lays it out, or a .gguf file. A checkpoint of a run may
// leave the tokenizer to the run directory above it. Errors are those of load_tokenizer.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llm {

/// The directory or .gguf file that a model's tokenizer lies in; `model` itself where none is
/// found.
std::filesystem::path tokenizer_place(const std::filesystem::path& model);

/// The tokenizer of a model: `named` where it is not empty, else the model's own, else the one of
/// the run directory above it.
std::unique_ptr<const Tokenizer> open_model_tokenizer(const std::filesystem::path& model,
                                                      const std::string& named);
/// Whether open_model_tokenizer would find a file.
bool has_tokenizer(const std::filesystem::path& model);
/// The source of the model's default chat template; empty where it has none.
std::string model_chat_template(const std::filesystem::path& model);
/// The model's chat templates; nothing where it has none. tokenizer: the model's, whose special
/// tokens a template may name where no file beside it spells them.
std::optional<ChatTemplate> open_chat_template(const std::filesystem::path& model,
                                               const Tokenizer& tokenizer);
/// Whether the tokenizer's file puts its bos token before every text.
bool begins_texts_with_bos(const Tokenizer& tokenizer);
/// The tokens that templates may name, as the tokenizer spells them: {"bos_token": "<s>", ...}.
SpecialTokenTexts special_tokens_of(const Tokenizer& tokenizer);

}  // namespace llm
