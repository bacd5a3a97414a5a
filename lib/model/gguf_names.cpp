// The architectures and their names.
#include "model/gguf_names.h"

#include <algorithm>

namespace llm {
namespace {

using Names = std::vector<std::pair<const char*, const char*>>;

const Names kOutside = {
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}};
const Names kAttention = {{"model.layers.*.self_attn.q_proj", "blk.*.attn_q"},
                          {"model.layers.*.self_attn.k_proj", "blk.*.attn_k"},
                          {"model.layers.*.self_attn.v_proj", "blk.*.attn_v"},
                          {"model.layers.*.self_attn.o_proj", "blk.*.attn_output"}};
const Names kFusedAttention = {{"model.layers.*.self_attn.qkv_proj", "blk.*.attn_qkv"},
                               {"model.layers.*.self_attn.o_proj", "blk.*.attn_output"}};
const Names kHeadNorms = {{"model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm"},
                          {"model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm"}};
const Names kGatedMlp = {{"model.layers.*.mlp.gate_proj", "blk.*.ffn_gate"},
                         {"model.layers.*.mlp.up_proj", "blk.*.ffn_up"},
                         {"model.layers.*.mlp.down_proj", "blk.*.ffn_down"}};
const Names kFusedMlp = {{"model.layers.*.mlp.gate_up_proj", "blk.*.ffn_up"},
                         {"model.layers.*.mlp.down_proj", "blk.*.ffn_down"}};
const Names kTwoNorms = {{"model.layers.*.input_layernorm", "blk.*.attn_norm"},
                         {"model.layers.*.post_attention_layernorm", "blk.*.ffn_norm"}};
const Names kFourNorms = {{"model.layers.*.input_layernorm", "blk.*.attn_norm"},
                          {"model.layers.*.post_attention_layernorm", "blk.*.post_attention_norm"},
                          {"model.layers.*.pre_feedforward_layernorm", "blk.*.ffn_norm"},
                          {"model.layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm"}};

Names joined(std::initializer_list<Names> lists) {
  Names all = kOutside;
  for (const Names& list : lists) {
    all.insert(all.end(), list.begin(), list.end());
  }
  return all;
}

// "blk.*.attn_q" with "blk.12.attn_q" -> "12"; one star at most.
std::optional<std::string_view> star(std::string_view pattern, std::string_view name) {
  const size_t at = pattern.find('*');
  if (at == std::string_view::npos) {
    return pattern == name ? std::optional<std::string_view>("") : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) ||
      !name.ends_with(after)) {
    return std::nullopt;
  }
  const std::string_view number =
      name.substr(before.size(), name.size() - before.size() - after.size());
  const bool digits =
      std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional(number) : std::nullopt;
}

std::string filled(std::string_view pattern, std::string_view number) {
  std::string name(pattern);
  if (const size_t at = name.find('*'); at != std::string::npos) {
    name.replace(at, 1, number);
  }
  return name;
}

std::optional<std::string> translated(const Names& names, std::string_view name, bool to_gguf) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view module = name.substr(0, dot), ending = name.substr(dot);
  if (ending != ".weight" && ending != ".bias") {
    return std::nullopt;
  }
  for (const auto& [hf, gguf] : names) {
    if (const auto number = star(to_gguf ? hf : gguf, module)) {
      return filled(to_gguf ? gguf : hf, *number) + std::string(ending);
    }
  }
  return std::nullopt;
}

}  // namespace

const std::vector<GgufArchitecture>& gguf_architectures() {
  static const std::vector<GgufArchitecture> all = {
      {.name = "llama",
       .model_types = {"llama", "mistral"},
       .paired_rope = true,
       .names = joined({kAttention, kGatedMlp, kTwoNorms})},
      {.name = "qwen2",
       .model_types = {"qwen2"},
       .names = joined({kAttention, kGatedMlp, kTwoNorms})},
      {.name = "qwen3",
       .model_types = {"qwen3"},
       .names = joined({kAttention, kHeadNorms, kGatedMlp, kTwoNorms})},
      {.name = "phi3",
       .model_types = {"phi3"},
       .names = joined({kFusedAttention, kFusedMlp, kTwoNorms})},
      {.name = "gemma",
       .model_types = {"gemma"},
       .norms_plus_one = true,
       .names = joined({kAttention, kGatedMlp, kTwoNorms})},
      {.name = "gemma2",
       .model_types = {"gemma2"},
       .norms_plus_one = true,
       .names = joined({kAttention, kGatedMlp, kFourNorms})},
      {.name = "gemma3",
       .model_types = {"gemma3_text"},
       .norms_plus_one = true,
       .names = joined({kAttention, kHeadNorms, kGatedMlp, kFourNorms})}};
  return all;
}

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  for (const GgufArchitecture& architecture : gguf_architectures()) {
    if (name == architecture.name) {
      return &architecture;
    }
  }
  return nullptr;
}

const GgufArchitecture* gguf_architecture_of(std::string_view model_type) {
  for (const GgufArchitecture& architecture : gguf_architectures()) {
    for (const char* written : architecture.model_types) {
      if (model_type == written) {
        return &architecture;
      }
    }
  }
  return nullptr;
}

std::string gguf_architecture_names() {
  std::string text;
  for (const GgufArchitecture& architecture : gguf_architectures()) {
    text += (text.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return text;
}

std::string gguf_family_names() {
  std::vector<std::string> names;
  for (const GgufArchitecture& architecture : gguf_architectures()) {
    names.insert(names.end(), architecture.model_types.begin(), architecture.model_types.end());
  }
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

std::optional<std::string> hf_tensor_name(const GgufArchitecture& architecture,
                                          std::string_view gguf_name) {
  return translated(architecture.names, gguf_name, /*to_gguf=*/false);
}

std::optional<std::string> gguf_tensor_name(const GgufArchitecture& architecture,
                                            std::string_view hf_name) {
  return translated(architecture.names, hf_name, /*to_gguf=*/true);
}

GgufChange gguf_change(const GgufArchitecture& architecture, std::string_view gguf_name) {
  const std::string_view module = gguf_name.substr(0, gguf_name.rfind('.'));
  if (architecture.paired_rope && (module.ends_with(".attn_q") || module.ends_with(".attn_k"))) {
    return GgufChange::paired_rows;
  }
  return architecture.norms_plus_one && module.ends_with("_norm") ? GgufChange::plus_one
                                                                  : GgufChange::none;
}

bool is_gguf_rope_tensor(std::string_view gguf_name) {
  return gguf_name == kGgufRopeFactors || gguf_name == kGgufLongRopeFactors ||
         gguf_name == kGgufShortRopeFactors;
}

}  // namespace llm
