// The folders that an output needs and that are not there yet: taken back, as far as they are
// empty, unless keep() was called. What fails leaves nothing behind. One thread.
#pragma once

#include <filesystem>
#include <vector>

namespace llm {

class NewFolders {
 public:
  /// `folder` and those above it; makes nothing.
  explicit NewFolders(std::filesystem::path folder);
  ~NewFolders();
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  /// They stay, also after a loss of power. Throws Error(io).
  void keep();

 private:
  std::vector<std::filesystem::path> missing_;  // the deepest first
};

}  // namespace llm
