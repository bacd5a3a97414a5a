// A LoRA adapter in PEFT's layout: a directory with adapter_config.json and
// adapter_model.safetensors (or .bin, through the restricted unpickler).
//
//   y = W x + scale * B (A x)        Hu et al., 2106.09685; scale = alpha / r,
//                                    or alpha / sqrt(r) with use_rslora (2312.03732)
//
// Tensors are named after the family's modules ("base_model.model.model.layers.0.self_attn.q_proj
// .lora_A.weight", (r, in), and lora_B, (out, r)); they become deltas of our parameters. Where a
// family stores several parameters as one (Phi-3's qkv_proj, GPT-2's c_attn), they share A and
// split the rows of B as the family's map splits the weight.
//
// What would change a result and is not computed is refused by name: DoRA, trained biases,
// modules_to_save, embeddings and head, initialisations that change the base. Errors are
// Error(bad_input) naming file and tensor. No LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace llm {

/// What one matrix gets beside its product. Row-major float32.
struct LoraDelta {
  int64_t rank = 0, inputs = 0, outputs = 0;
  float scale = 1;
  std::vector<float> a;  // (rank, inputs)
  std::vector<float> b;  // (outputs, rank)
};

struct LoraAdapter {
  std::map<std::string, LoraDelta>
      deltas;  // by parameter: "model.layers.0.self_attn.q_proj.weight"
  int64_t parameters() const;
};

/// A directory that holds an adapter and no model.
bool is_adapter_directory(const std::filesystem::path& path);

/// Of the model that `base` describes. Every tensor must belong to one of its matrices.
LoraAdapter load_lora_adapter(const std::filesystem::path& directory, const ModelConfig& base);

/// Where the adapter's config says its base is (base_model_name_or_path): a path from here or from
/// the adapter, or a name in the hub's cache. Throws Error(bad_input) where it says nothing.
std::string base_of_adapter(const std::filesystem::path& directory);

}  // namespace llm
