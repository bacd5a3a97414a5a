#include "base/path_queries.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const std::vector<fs::directory_entry>& entries,
                                  const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : entries)
    names.push_back(entry.path().lexically_relative(folder).generic_string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A name that cannot be looked at, whoever asks: a part of it is longer than any may be.
fs::path beyond_reach(const TemporaryFolder& folder) {
  return folder / std::string(300, 'x') / "name";
}

void expect_io(const std::function<void()>& look, const fs::path& path) {
  try {
    look();
    FAIL() << "taken for absent";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::io);
    EXPECT_EQ(error.message(), "cannot read '" + path.string() + "': File name too long");
  }
}

TEST(PathQueries, AbsentIsNothing) {
  const TemporaryFolder folder;
  folder.write("file", "x");
  for (const fs::path& path : {folder / "absent", folder / "file" / "below"}) {
    EXPECT_TRUE(entries_of(path).empty()) << path;
    EXPECT_TRUE(entries_below(path).empty()) << path;
    EXPECT_EQ(link_target(path), "") << path;
    EXPECT_FALSE(are_same(path, folder / "file")) << path;
    EXPECT_FALSE(are_same(folder / "file", path)) << path;
  }
  EXPECT_EQ(link_target(folder / "file"), "") << "no link";
}

TEST(PathQueries, WhatIsThereIsTold) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "a" / "b");
  folder.write("a/b/file", "x");
  fs::create_symlink("a", folder / "link");
  EXPECT_EQ(names_in(entries_of(folder.path()), folder.path()),
            (std::vector<std::string>{"a", "link"}));
  EXPECT_EQ(names_in(entries_below(folder.path()), folder.path()),
            (std::vector<std::string>{"a", "a/b", "a/b/file", "link"}));
  EXPECT_EQ(link_target(folder / "link"), "a");
  EXPECT_TRUE(are_same(folder / "link" / "b", folder / "a" / "b"));
  EXPECT_FALSE(are_same(folder / "a", folder / "a" / "b"));
}

TEST(PathQueries, WhatCannotBeLookedAtIsNotAbsent) {
  const TemporaryFolder folder;
  const fs::path path = beyond_reach(folder);
  expect_io([&] { entries_of(path); }, path);
  expect_io([&] { entries_below(path); }, path);
  expect_io([&] { link_target(path); }, path);
  EXPECT_THROW(are_same(path, folder.path()), fs::filesystem_error);
}

}  // namespace
}  // namespace llm
