#include "model/families/families.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/families/all.h"
#include "model/hf_config.h"

namespace llm {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      llama_family(),     mistral_family(), mixtral_family(), qwen2_family(),  qwen3_family(),
      qwen3_moe_family(), phi3_family(),    gpt2_family(),    gptj_family(),   gpt_neox_family(),
      opt_family(),       gemma_family(),   gemma2_family(),  gemma3_family(), stablelm_family(),
      olmo2_family(),     own_family()};
  return all;
}

const Family* find_family(std::string_view model_type) {
  for (const Family& family : families()) {
    if (model_type == family.model_type) {
      return &family;
    }
  }
  return nullptr;
}

std::string family_names() {
  std::string names;
  for (const Family& family : families()) {
    names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return names;
}

const Family& family_of(const ModelConfig& config) {
  std::vector<const Family*> candidates = {find_family("llama"), find_family("mistral")};
  if (config.model_type) {
    const Family* own = find_family(*config.model_type);
    check(own != nullptr, "model.model_type: '{}' is not supported; choose {}", *config.model_type,
          family_names());
    candidates.insert(candidates.begin(), own);
  }
  for (const Family* family : candidates) {
    if (hf_config_json(config, *family)) {
      return *family;
    }
  }
  return *find_family("llm");
}

}  // namespace llm
