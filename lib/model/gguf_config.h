// What a GGUF file says of its model, as a Hugging Face config.json and as a ModelConfig, and the
// way back.
//
// Reading is strict: a key below the architecture's name that is not known is refused, because the
// model might compute something else. Sizes that the metadata may leave out come from the tensors'
// shapes; a head is tied where the file has no "output". Writing checks itself: the keys are read
// back, and a model that they do not say exactly is refused, naming what is lost. Errors are
// Error(bad_input). No LibTorch here.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "model/gguf_names.h"
#include "model/model_config.h"

namespace llm {

/// The metadata of a file and what has to be known of its tensors.
struct GgufHead {
  const Gguf* keys = nullptr;
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes{};  // by names of the file
  std::map<std::string, std::vector<float>, std::less<>> factors{};   // is_gguf_rope_tensor()
};
GgufHead gguf_head(const Gguf& file);

/// The tokens that end a text, as llama.cpp has them: of a text, of a turn, of a message.
inline constexpr const char* kGgufEndKeys[] = {
    "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};

/// Throws "<file>: GGUF architecture 'x' is not supported; supported are llama, ...", and for parts
/// of a split file.
const GgufArchitecture& gguf_architecture(const Gguf& file);
nlohmann::ordered_json hf_config_of_gguf(const GgufHead& head);
ModelConfig model_config_of_gguf(const GgufHead& head);

/// The keys of the architecture ("llama.block_count", ...) for a model of one of its families.
void add_gguf_model_keys(GgufMetadata& metadata, const GgufArchitecture& architecture,
                         const ModelConfig& config);
/// The rope tensors that belong to the config, by their names in the file; often none.
std::map<std::string, std::vector<float>, std::less<>> gguf_rope_factors(
    const GgufArchitecture& architecture, const ModelConfig& config);
/// Throws "<path>: GGUF (llama) cannot say sliding_window 16" where reading `metadata` beside
/// tensors of these shapes would not give `config`.
void check_gguf_says(const ModelConfig& config, const GgufMetadata& metadata, GgufHead head,
                     const std::string& path);

}  // namespace llm
