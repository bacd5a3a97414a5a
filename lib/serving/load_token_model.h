// From a path on the disk to something that generates: weights loaded, in the quickest form that
// this machine and model allow.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "model/model_config.h"
#include "serving/token_model.h"

namespace llm {

class Transformer;

struct TokenModelOptions {
  std::string device = "auto";
  std::string dtype =
      "auto";  // auto: as stored (float16 on a CPU: float32, which holds it exactly)
  bool allow_packed = true;
};

struct LoadedTokenModel {
  LoadedTokenModel();
  LoadedTokenModel(LoadedTokenModel&&) noexcept;
  LoadedTokenModel& operator=(LoadedTokenModel&&) noexcept;
  ~LoadedTokenModel();

  ModelConfig config;
  std::filesystem::path directory;  // the model directory that the path led to
  std::string device, dtype;        // what it runs on: "cpu", "bfloat16"
  int64_t parameters = 0;
  bool packed = false;
  std::string why_not_packed;                      // empty where packed
  std::unique_ptr<const Transformer> transformer;  // kept only where `model` computes with it
  std::unique_ptr<TokenModel> model;
};

/// Errors of resolve_model_path and load_model (bad input, exit 3), of the device (usage, exit 2).
LoadedTokenModel load_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options = {});

}  // namespace llm
