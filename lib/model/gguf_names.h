// The architectures of GGUF files and the families that compute them: how tensors are called there,
// and what llama.cpp stores in another way than Hugging Face.
//
// Names are rules as in families/family.h: they name modules, hold for weight and bias alike, and
// each * stands for the layer. No LibTorch here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm {

/// How a tensor's values differ from Hugging Face's.
enum class GgufChange {
  none,
  paired_rows,  // rows of a head lie pair by pair: 0, D/2, 1, D/2 + 1, ... (rotary embedding of
                // neighbours in place of halves)
  plus_one      // norms are stored as the factor itself, not as its distance from one
};

struct GgufArchitecture {
  const char* name;                      // general.architecture
  std::vector<const char*> model_types;  // families that are written as it; the first is read
  bool paired_rope = false;              // q and k have paired_rows
  bool norms_plus_one = false;
  std::vector<std::pair<const char*, const char*>> names;  // Hugging Face's, GGUF's
};

const std::vector<GgufArchitecture>& gguf_architectures();
/// By general.architecture; nullptr where unknown.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
/// By config.json's model_type; nullptr where llama.cpp has no architecture for it that we write.
const GgufArchitecture* gguf_architecture_of(std::string_view model_type);
/// "llama (llama, mistral), qwen2, ...": for messages.
std::string gguf_architecture_names();
/// "llama, mistral, qwen2, ... and gemma3_text": the families that can be written, for messages.
std::string gguf_family_names();

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for other names.
std::optional<std::string> hf_tensor_name(const GgufArchitecture& architecture,
                                          std::string_view gguf_name);
std::optional<std::string> gguf_tensor_name(const GgufArchitecture& architecture,
                                            std::string_view hf_name);
/// Of a tensor by its name in the file.
GgufChange gguf_change(const GgufArchitecture& architecture, std::string_view gguf_name);

// Tensors that hold no parameter but divisors of the rotary speeds.
inline constexpr const char* kGgufRopeFactors = "rope_freqs.weight";
inline constexpr const char* kGgufLongRopeFactors = "rope_factors_long.weight";
inline constexpr const char* kGgufShortRopeFactors = "rope_factors_short.weight";
bool is_gguf_rope_tensor(std::string_view gguf_name);

}  // namespace llm
