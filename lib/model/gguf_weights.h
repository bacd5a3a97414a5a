// The tensors of a GGUF file under Hugging Face's names and in Hugging Face's layout.
//
// What the architecture names (gguf_names.h) gets its family's names, with rows of q and k back in
// halves where llama.cpp has them in pairs, norms without their one where they have it, and a joint
// attn_qkv as q, k and v where the family keeps those apart. Rope factors belong to the config and
// are left out; any other tensor keeps its name, for the reader to report as not used. Quantised
// blocks become float32; floats are views of the file.
#pragma once

#include <filesystem>
#include <memory>

#include "gguf/gguf.h"
#include "model/weight_source.h"

namespace llm {

std::unique_ptr<WeightSource> open_gguf_weights(const std::filesystem::path& file);
std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const Gguf> file);

}  // namespace llm
