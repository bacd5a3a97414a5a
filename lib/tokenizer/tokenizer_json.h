// Reading tokenizer.json, the file of Hugging Face's tokenizers.
//
// Models BPE and Unigram, with the normalizers, pre-tokenizers, post-processors and decoders that
// docs/tokenizers.md lists. Whatever would change the ids and is not known here is refused by name:
// a tokenizer that reads a little differently than the one a model was trained with makes that
// model worse without a word. Everything is checked before use: sizes, ids dense and used once,
// merges of known pieces, patterns. No state; thread-safe.
#pragma once

#include <string_view>

#include "base/json_reader.h"
#include "tokenizer/pipeline_tokenizer.h"

namespace llm {

/// Throws Error(Exit::bad_input); `name` stands in the message. The special tokens' ids are not in
/// this file, except <unk>'s (tokenizer/special_tokens.h).
PipelineStages read_tokenizer_json(std::string_view file, std::string_view name);

/// The parts of the file that are chains of steps. `view` is the member of that name; it may be
/// null there, which means none.
void read_normalizer(const JsonView& root, std::string_view name, PipelineStages& stages);
void read_pre_tokenizer(const JsonView& root, std::string_view name, PipelineStages& stages);
void read_decoder(const JsonView& root, std::string_view name, PipelineStages& stages);
void read_post_processor(const JsonView& root, std::string_view name, PipelineStages& stages);

/// "pre_tokenizer 'Metaspace+Digits' not supported; result would differ".
[[noreturn]] void refuse_step(std::string_view name, std::string_view part, std::string_view type);

/// A delimiter {"Regex": "..."} or {"String": "..."}.
std::unique_ptr<const DelimiterFinder> read_pattern(const JsonView& pattern,
                                                    std::string_view subject);

}  // namespace llm
