// From a path on the disk to something that generates: weights loaded, in the quickest form that
// this machine and model allow.
//
// What is declared here can be held without LibTorch, which open_token_model loads only where a
// model does not run packed.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/encryption_key.h"
#include "model/model_config.h"
#include "serving/token_model.h"

namespace llm {

class Transformer;

struct TokenModelOptions {
  std::string device = "auto";
  std::string dtype =
      "auto";  // auto: as stored (float16 on a CPU: float32, which holds it exactly)
  /// none, int8, fp8, int4: the matrices rounded as they are read (model/kernels/weight_codes.h).
  /// Error(usage) where the model does not run packed.
  std::string quantize = "none";
  bool allow_packed = true;
  int threads = 0;  // of a packed model; 0: as many as LibTorch has
  EncryptionKey key = {};  // opens what is encrypted
};

struct LoadedTokenModel {
  ModelConfig config;
  std::filesystem::path directory;  // the model directory that the path led to
  std::string device, dtype;        // what it runs on: "cpu", "bfloat16"
  int64_t parameters = 0;
  std::string quantization = "none";
  int64_t weight_bytes = 0;  // that one token's step reads; 0: not known (it does not run packed)
  bool packed = false;
  std::string why_not_packed;                      // empty where packed
  std::shared_ptr<const Transformer> transformer;  // kept only where `model` computes with it
  std::unique_ptr<TokenModel> model;
};

/// The config of a model directory, for a model that goes on with a text. Error(bad_input) where
/// it restores masked tokens instead (in load_packed_model.cpp).
ModelConfig load_causal_config(const std::filesystem::path& directory);

/// Errors of resolve_model_path and load_model (bad input, exit 3), of the device (usage, exit 2).
LoadedTokenModel load_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options = {});

/// The same without LibTorch (in load_packed_model.cpp): for models that run packed on the CPU and
/// whose parameters lie in the file as rows. Nothing for others. threads 0: all cores of this
/// process.
std::optional<LoadedTokenModel> load_packed_model(const std::filesystem::path& path,
                                                  const TokenModelOptions& options = {});

/// What both do once the parameters can be read: makes loaded.model of them, packed (in
/// load_packed_model.cpp).
struct ParameterReader;
void take_packed(LoadedTokenModel& loaded, const TokenModelOptions& options,
                 const ParameterReader& parameters, int threads);

/// Whichever of the two is enough (in open_token_model.cpp): LibTorch is loaded where it is needed,
/// and then computes with `threads` threads; 0: all cores of this process. Throws Error(internal)
/// where LibTorch is missing.
LoadedTokenModel open_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options = {});

/// What it finds in the library that needs LibTorch, as "llm_token_model_loader".
using LoadTokenModel = LoadedTokenModel(const std::filesystem::path&, const TokenModelOptions&);

}  // namespace llm
