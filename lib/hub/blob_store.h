// The blobs of one repository in the cache: where they lie, who may write them, and the links to
// them.
//
// Throws Error(Exit::io) for the disk. Thread-safe between processes through lock files.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace llm {

/// A lock file held by this process while the object lives. Waits for another holder.
class BlobLock {
 public:
  /// Waits until it is free or `stop` says true; then is_held() is false.
  BlobLock(const std::filesystem::path& file, const std::function<bool()>& stop);
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;
  bool is_held() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

class BlobStore {
 public:
  /// `folder` is <cache>/models--org--name.
  explicit BlobStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path blob(const std::string& tag) const { return folder_ / "blobs" / tag; }
  std::filesystem::path incomplete(const std::string& tag) const;
  std::filesystem::path lock_file(const std::string& tag) const;
  std::filesystem::path snapshot(const std::string& commit) const;
  void make_folders() const;
  /// snapshots/<commit>/<file> -> ../../blobs/<tag>.
  void link(const std::string& commit, const std::string& file, const std::string& tag) const;
  /// refs/<revision> = commit.
  void refer(const std::string& revision, const std::string& commit) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace llm
