#include "base/new_folders.h"

#include "base/file_io.h"

namespace llm {

NewFolders::NewFolders(std::filesystem::path folder) {
  std::error_code ignored;
  for (; !folder.empty() && !std::filesystem::exists(folder, ignored);
       folder = folder.parent_path()) {
    missing_.push_back(folder);
  }
}

NewFolders::~NewFolders() {
  std::error_code ignored;
  for (const std::filesystem::path& folder : missing_) {
    std::filesystem::remove(folder, ignored);
  }
}

void NewFolders::keep() {
  for (const std::filesystem::path& folder : missing_) {
    if (std::filesystem::exists(folder)) sync_directory(folder.parent_path());
  }
  missing_.clear();
}

}  // namespace llm
