// What `llm generate` is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/key_rules.h"
#include "base/device.h"
#include "serving/generation_config.h"
#include "text/text_model.h"

namespace llm {

struct GenerateConfig {
  RuntimeConfig runtime;
  GenerationConfig generation;
  TextModelPaths paths;
  std::optional<std::string> prompt;
  std::string prompt_file;
  std::string grammar, json_schema, draft_model_path;
  int64_t batch_size = 8;
  bool stream = false;
  bool json = false;

  void fields(Fields& f);
  /// Those beside generation_rules().
  static const std::vector<KeyRule<GenerateConfig>>& rules();
};

}  // namespace llm
