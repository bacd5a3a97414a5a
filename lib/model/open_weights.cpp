// Which container a path names; see weight_source.h.
#include <fmt/format.h>

#include "base/error.h"
#include "gguf/gguf.h"
#include "model/gguf_weights.h"
#include "model/unpickler.h"
#include "model/weight_containers.h"
#include "model/weight_files.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

using Open = std::unique_ptr<WeightSource> (*)(const fs::path&, const EncryptionKey&);

Open opener(WeightFile kind) {
  switch (kind) {
    case WeightFile::safetensors:
      return open_safetensors;
    case WeightFile::sharded_safetensors:
      return open_sharded_safetensors;
    case WeightFile::pytorch:
      return open_pytorch;
    case WeightFile::sharded_pytorch:
      return open_sharded_pytorch;
  }
  return nullptr;
}

std::unique_ptr<WeightSource> open_directory(const fs::path& directory, const EncryptionKey& key) {
  for (const WeightFile kind : kWeightFiles) {
    const fs::path file = directory / weight_file_name(kind);
    if (fs::exists(file)) {
      return opener(kind)(file, key);
    }
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const std::string suffix = entry.path().extension().string();
    if (suffix == ".pt" || suffix == ".pth" || suffix == ".ckpt") {
      refuse_pickle(entry.path().string());
    }
  }
  fail(Exit::bad_input, fmt::format("'{}' has no model.safetensors", directory.string()),
       "pytorch_model.bin and their shards with an index are read too");
}

std::unique_ptr<WeightSource> open_weight_file(const fs::path& file, const EncryptionKey& key) {
  const std::string name = file.filename().string();
  if (name.ends_with(".safetensors")) {
    return open_safetensors(file, key);
  }
  if (name.ends_with(".safetensors.index.json")) {
    return open_sharded_safetensors(file, key);
  }
  if (name.ends_with(".bin.index.json")) {
    return open_sharded_pytorch(file, key);
  }
  if (name.ends_with(".bin")) {
    return open_pytorch(file, key);
  }
  if (is_gguf_file(file)) {
    return open_gguf_weights(file);
  }
  if (name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt")) {
    refuse_pickle(file.string());
  }
  fail(Exit::bad_input,
       fmt::format("'{}' is not a file of weights (.safetensors, .gguf, .bin)", file.string()));
}

}  // namespace

std::unique_ptr<WeightSource> open_stored_weights(const fs::path& path, const EncryptionKey& key) {
  return fs::is_directory(path) ? open_directory(path, key) : open_weight_file(path, key);
}

}  // namespace llm
