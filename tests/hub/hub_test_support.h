// A small model on a loopback hub, an empty cache, and what a download of it looks like.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "hub/download.h"
#include "tests/support/loopback_hub.h"
#include "tests/support/temporary_folder.h"

namespace llm {

inline std::string pattern_bytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * i % 251);
  return bytes;
}

struct HubFixture {
  TemporaryFolder folder;
  LoopbackHub hub;
  HubConnection connection;
  DownloadRequest request;

  HubFixture() {
    hub.small["config.json"] = "{}\n";
    hub.large["model.safetensors"] = pattern_bytes(300'000);
    connection.endpoint = hub.endpoint();
    connection.token = "hf_secret";
    connection.first_pause = 0.01;
    request.repo.id = hub.repo;
    request.cache = folder / "cache";
  }

  Download run() { return download_model(connection, request); }
  std::filesystem::path repo_folder() const { return request.cache / "models--org--name"; }
  std::string weights_id() const { return blob_id(hub.large.at("model.safetensors"), true); }
  std::filesystem::path weights_blob() const { return repo_folder() / "blobs" / weights_id(); }
  std::filesystem::path unfinished() const { return weights_blob().string() + ".incomplete"; }
  static std::string content(const std::filesystem::path& file) {
    std::ifstream input(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(input), {}};
  }
  bool has_weights() const { return content(weights_blob()) == hub.large.at("model.safetensors"); }

  /// Every name below the cache; files as they are, links with what they point to.
  std::set<std::string> tree() const {
    namespace fs = std::filesystem;
    std::set<std::string> names;
    if (!fs::exists(request.cache)) return names;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(request.cache)) {
      const std::string name = fs::relative(entry.path().parent_path(), request.cache).string() +
                               "/" + entry.path().filename().string();
      if (entry.is_symlink()) {
        names.insert(name + " -> " + fs::read_symlink(entry.path()).string());
      } else if (entry.is_regular_file()) {
        names.insert(name);
      }
    }
    return names;
  }
};

}  // namespace llm
