#include "base/new_folders.h"

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

}  // namespace llm
