// adapter_config.json of a LoRA adapter, as PEFT writes it (lora_adapter.h).
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace llm {

struct LoraConfig {
  double alpha = 8;
  int64_t rank = 8;
  bool rank_stabilised = false;  // scale = alpha / sqrt(rank)
  std::string base_model;
  std::vector<std::string> targets;  // names or ends of module paths; empty: the tensors tell
  /// By module: ends of paths with their own alpha or rank.
  std::vector<std::pair<std::string, double>> alpha_pattern, rank_pattern;

  double alpha_of(const std::string& module) const;
  int64_t rank_of(const std::string& module) const;
  float scale_of(const std::string& module) const;
};

/// Throws Error(bad_input) for what is no LoRA, or a kind of it that is not computed here.
LoraConfig read_lora_config(const std::filesystem::path& file);

/// `end` is `path`, or what stands behind one of its dots.
bool ends_module_path(const std::string& path, const std::string& end);

}  // namespace llm
