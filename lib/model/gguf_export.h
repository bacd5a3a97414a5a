// A model as a GGUF file that llama.cpp loads.
//
// Matrices are stored in the wanted format; norms, biases and rope factors in float32. Where a
// row does not divide into blocks of 32 the tensor becomes F16; in a Q4_0 file the head is Q8_0, as
// small errors there cost most. Equal models give equal files. A model that GGUF cannot say exactly
// is refused (gguf_config.h), except that a sliding window which llama.cpp would not apply becomes
// a context of that length, within which nothing changes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gguf/gguf_writer.h"
#include "model/model_config.h"
#include "model/weight_writer.h"

namespace llm {

struct GgufExport {
  const BlockFormat* format = nullptr;  // one of writable_formats()
  std::string name{};                   // general.name; empty: none
  /// Keys of the tokenizer and the chat template, from tokenizer/gguf_tokenizer.h.
  GgufMetadata tokenizer{};
};

/// "f32", "bf16", "q8_0", ...; throws Error(usage) listing those that can be written.
const BlockFormat& parse_gguf_format(const std::string& name);

/// `tensors` under the names of the config's family, as stored_tensors() lists them. Throws
/// Error(bad_input) for NaN, infinities and what float16 cannot hold, naming the tensor.
void export_gguf(const std::filesystem::path& path, const ModelConfig& config,
                 const std::vector<OutgoingTensor>& tensors, const GgufExport& options);

}  // namespace llm
