#include "base/new_folders.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TEST(NewFolders, WhatWasMissingGoesAgainAndWhatWasThereStays) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "there");
  {
    const NewFolders made(folder / "there/a/b");
    fs::create_directories(folder / "there/a/b");
  }
  EXPECT_TRUE(fs::is_empty(folder / "there"));
}

TEST(NewFolders, WhatIsKeptOrHoldsSomethingStays) {
  const TemporaryFolder folder;
  {
    NewFolders kept(folder / "kept/a");
    const NewFolders full(folder / "full/a");
    fs::create_directories(folder / "kept/a");
    fs::create_directories(folder / "full/a");
    folder.write("full/notes.txt", "mine");
    kept.keep();
  }
  EXPECT_TRUE(fs::exists(folder / "kept/a"));
  EXPECT_TRUE(fs::exists(folder / "full/notes.txt"));
  EXPECT_FALSE(fs::exists(folder / "full/a"));
}

}  // namespace
}  // namespace llm
