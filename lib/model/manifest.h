// manifest.json of a checkpoint: what its files were when it was saved.
//
//   {"format": 1, "step": 1000, "files": {"model.safetensors": {"size": 8388608, "sha256": "..."}}}
//
// Written last (training/checkpoint.h), so that a checkpoint with one is whole. Names in it are
// untrusted: only plain relative paths below the checkpoint are taken. Errors are
// Error(bad_input) naming the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace llm {

inline constexpr int64_t kCheckpointFormat = 1;
inline constexpr const char* kManifestName = "manifest.json";

struct ManifestFile {
  std::string name;  // relative to the checkpoint
  int64_t size = 0;  // bytes
  std::string sha256;
};

struct Manifest {
  int64_t step = 0;
  std::vector<ManifestFile> files;
};

Manifest read_manifest(const std::filesystem::path& checkpoint);

/// That the file is there, regular and as long as the manifest says.
void check_file_size(const std::filesystem::path& checkpoint, const ManifestFile& file);

/// The same of the weights, config.json and the tokenizer, which belong together: what is cheap
/// enough for every start. A directory without a manifest passes, and so does one where a file of
/// that name is something else.
void check_model_sizes(const std::filesystem::path& directory);

}  // namespace llm
