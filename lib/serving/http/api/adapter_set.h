// The LoRA adapters of a served model, by the names that requests call them.
//
// Adapters are given when the server starts (`llm api --adapter NAME=DIR`) and, where a folder was
// named for that (`--adapter-folder`), come and go over HTTP. A request keeps the one it began
// with. Any thread.
#pragma once

#include <atomic>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serving/token_model.h"

namespace llm::api {

struct ServedAdapter {
  std::string name;
  std::time_t created = 0;
  ModelAdapterPtr adapter;
};
using ServedAdapterPtr = std::shared_ptr<const ServedAdapter>;

class AdapterSet {
 public:
  static constexpr size_t kMost = 64;
  /// Reads a directory for the model; throws Error. Empty: the model takes no adapters.
  using Open = std::function<ModelAdapterPtr(const std::filesystem::path& directory)>;

  /// folder: the one that load_within() may read from; empty: none.
  AdapterSet(std::string base_name, Open open, const std::filesystem::path& folder);

  /// Throws Error(usage) for a name that is empty, too long, the model's own or taken.
  void check_new_name(const std::string& name) const;
  /// The same, and what opening throws.
  void load(const std::string& name, const std::filesystem::path& directory);
  /// One that was opened already.
  void add(const std::string& name, ModelAdapterPtr adapter);
  /// load() for a path that a client gave: absolute, or below the folder, and inside of it.
  /// Throws Error(usage) where it is not, and where nothing may be loaded.
  void load_within(const std::string& name, const std::string& path);
  /// False: there is none of that name.
  bool unload(const std::string& name);

  bool may_load() const { return !folder_.empty(); }
  /// Null: none of that name.
  ServedAdapterPtr find(const std::string& name) const;
  std::vector<ServedAdapterPtr> all() const;  // by name
  /// "llama, french, sql": for messages.
  std::string names() const;
  /// Raised by every change: what was answered before may be another answer now.
  uint64_t version() const { return version_; }

 private:
  void check_name(const std::string& name) const;

  std::string base_name_;
  Open open_;
  std::filesystem::path folder_;
  mutable std::mutex mutex_;
  std::map<std::string, ServedAdapterPtr> adapters_;
  std::atomic<uint64_t> version_{0};
};

}  // namespace llm::api
