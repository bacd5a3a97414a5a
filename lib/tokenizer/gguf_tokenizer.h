// The tokenizer inside a GGUF file (keys tokenizer.ggml.*, tokenizer.chat_template): taken out as
// tokenizer parts, and put in such that llama.cpp cuts text the same way.
//
//   tokenizer.ggml.model  llama  SentencePiece BPE with scores
//                         gpt2   byte-level BPE with merges; tokenizer.ggml.pre names how text is
//                                cut into words
//                         t5     SentencePiece unigram
//
// Token texts in GGUF are spelled as the tokenizer's file spells them, except that added tokens
// stand as the text they match. Errors are Error(bad_input) "<file>: <rule>". Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm {

/// False where tokenizer.ggml.model is missing or says that there is none.
bool gguf_has_tokenizer(const Gguf& file);
TokenizerParts gguf_tokenizer_parts(const Gguf& file);
std::unique_ptr<const Tokenizer> load_gguf_tokenizer(const std::filesystem::path& file);
/// The default chat template; empty where the file has none.
std::string gguf_chat_template(const Gguf& file);

/// The keys of a tokenizer for a model with `rows` embeddings: rows beyond the pieces become unused
/// ones, fewer rows than pieces are refused. Throws Error(bad_input) for what llama.cpp would cut
/// differently: a pre-tokenizer without a name there.
GgufMetadata gguf_tokenizer_keys(const TokenizerParts& parts, int64_t rows,
                                 const std::string& chat_template);

}  // namespace llm
