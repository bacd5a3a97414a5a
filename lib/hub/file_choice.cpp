#include "hub/file_choice.h"

#include <fnmatch.h>

#include <algorithm>
#include <string_view>

namespace llm {
namespace {

using Names = std::vector<std::string>;

bool matches_any(const std::string& name, const Names& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

const Names& description_patterns() {
  static const Names kPatterns = {"config.json",
                                  "generation_config.json",
                                  "tokenizer.json",
                                  "tokenizer.model",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "added_tokens.json",
                                  "vocab.json",
                                  "merges.txt",
                                  "chat_template.jinja",
                                  "chat_template.json",
                                  "adapter_config.json",
                                  "LICENSE*"};
  return kPatterns;
}

/// The first of these groups that the repository has any file of.
Names weights(const Names& names) {
  static const std::vector<Names> kGroups = {
      {"model*.safetensors", "model*.safetensors.index.json", "adapter_model.safetensors"},
      {"*.safetensors", "*.safetensors.index.json"},
      {"pytorch_model*.bin", "pytorch_model*.bin.index.json", "adapter_model.bin"},
      {"*.gguf"}};
  for (const Names& group : kGroups) {
    Names found;
    std::copy_if(names.begin(), names.end(), std::back_inserter(found),
                 [&](const std::string& name) {
                   return name.find('/') == std::string::npos && matches_any(name, group);
                 });
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace

Names choose_model_files(const Names& names, const Names& include, const Names& exclude) {
  Names chosen;
  if (include.empty()) {
    chosen = weights(names);
    for (const std::string& name : names) {
      const bool top = name.find('/') == std::string::npos;
      const bool extra_template =
          ::fnmatch("additional_chat_templates/*.jinja", name.c_str(), 0) == 0;
      if ((top && matches_any(name, description_patterns())) || extra_template)
        chosen.push_back(name);
    }
  } else {
    std::copy_if(names.begin(), names.end(), std::back_inserter(chosen),
                 [&](const std::string& name) { return matches_any(name, include); });
  }
  std::erase_if(chosen, [&](const std::string& name) { return matches_any(name, exclude); });
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

}  // namespace llm
