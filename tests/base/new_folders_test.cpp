#include "base/new_folders.h"

#include <gtest/gtest.h>

#include "base/file_io.h"
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

TEST(NewFolders, WhatIsKeptOutlivesALossOfPower) {
  const TemporaryFolder folder;
  for (const bool keep : {true, false}) {
    const fs::path top = folder / (keep ? "kept" : "lost");
    FaultPlan plan;
    NewFolders folders(top / "a");
    make_directories(top / "a");
    if (keep) folders.keep();
    plan.lose_unsynced(Loss::names_only);
    EXPECT_EQ(fs::exists(top / "a"), keep);
    EXPECT_EQ(fs::exists(top), keep);
  }
}

}  // namespace
}  // namespace llm
