// Which tokens begin, end and pad a text. A tokenizer.json does not say; the files beside it do,
// and where those are missing, well-known names.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/pipeline_tokenizer.h"

namespace llm {

/// Names of the files beside a tokenizer that belong to it.
std::vector<std::string_view> companion_file_names();

/// Sets bos, eos, pad, unk and mask ids: by tokenizer_config.json, special_tokens_map.json, the
/// template, well-known names, in this order. Throws Error(Exit::bad_input) if a file names a token
/// that is not there, or if there is no end-of-text token.
void find_special_tokens(PipelineStages& stages, const std::vector<TokenizerFile>& companions,
                         std::string_view name);

}  // namespace llm
