#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "tests/support/expect_error.h"
#include "tests/support/no_more_files.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TEST(MappedFile, HoldsTheBytesOfTheFile) {
  const TemporaryFolder folder;
  const MappedFile file = MappedFile::open(folder.write("x", "hello"));
  EXPECT_EQ(file.text(), "hello");
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(MappedFile::open(folder.write("empty", "")).size(), 0u);
}

TEST(MappedFile, MovesWithoutCopying) {
  const TemporaryFolder folder;
  MappedFile first = MappedFile::open(folder.write("x", "hello"));
  const std::byte* data = first.data();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first.size(), 0u);
  first = std::move(second);
  EXPECT_EQ(first.text(), "hello");
}

TEST(MappedFile, AFileThatIsOpenIsNotMappedAgain) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("x", "hello");
  const MappedFile first = MappedFile::open(path);
  MappedFile second = MappedFile::open(folder.path() / "." / "x");
  EXPECT_EQ(second.data(), first.data());
  second = MappedFile();
  EXPECT_EQ(first.text(), "hello");
  EXPECT_NE(MappedFile::open(path, AccessPattern::random).data(), first.data());
}

TEST(MappedFile, AnotherFileOfThatNameIsMappedAnew) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("x", "hello");
  const MappedFile first = MappedFile::open(path);
  fs::rename(folder.write("y", "HELLO"), path);
  const MappedFile second = MappedFile::open(path);
  EXPECT_EQ(first.text(), "hello");
  EXPECT_EQ(second.text(), "HELLO");
  fs::resize_file(path, 6);
  EXPECT_EQ(MappedFile::open(path).size(), 6u);
  EXPECT_EQ(second.size(), 5u);
}

TEST(MappedFile, AskingForAllPagesChangesNothingElse) {
  const TemporaryFolder folder;
  const MappedFile file = MappedFile::open(folder.write("x", std::string(300'000, 'a')));
  file.populate();
  EXPECT_EQ(file.text(), std::string(300'000, 'a'));
  MappedFile().populate();
}

TEST(MappedFile, HoldsBytesThatItIsGivenInMemory) {
  const std::string text(10'000, 'a');
  const auto write = [&](std::span<std::byte> to) {
    std::memcpy(to.data(), text.data(), to.size());
  };
  const MappedFile file = MappedFile::in_memory("x", text.size(), write);
  file.release(0, file.size());  // a mapping would read the file again
  file.populate();
  EXPECT_EQ(file.text(), text);
  EXPECT_EQ(file.path(), "x");
  int calls = 0;
  EXPECT_EQ(MappedFile::in_memory("x", 0, [&](auto) { ++calls; }).size(), 0u);
  EXPECT_EQ(calls, 1);
}

TEST(MappedFile, RefusesWhatIsNotAFile) {
  const TemporaryFolder folder;
  const std::string here = folder.path().string();
  expect_error([&] { MappedFile::open(folder / "none"); }, Exit::bad_input,
               "cannot open '" + here + "/none': No such file or directory");
  expect_error([&] { MappedFile::open(folder.path()); }, Exit::bad_input,
               "'" + here + "' is a directory");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { MappedFile::open(folder / "pipe"); }, Exit::bad_input,
               "'" + here + "/pipe' is not a regular file");
}

TEST(MappedFile, WhatIsThereAndCannotBeReadIsNoFaultOfItsContent) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("x", "hello");
  const std::string message = "cannot open '" + path.string() + "': Too many open files";
  const NoMoreFiles none;
  expect_error([&] { MappedFile::open(path); }, Exit::io, message);
  expect_error([&] { MappedFile::open(path, AccessPattern::normal, Exit::bad_input); }, Exit::io,
               message);  // (permission alone is the caller's to judge)
}

/// Returns only if every byte could be read.
int sum_after_truncation(const fs::path& path) {
  const MappedFile file = MappedFile::open(path);
  set_mapping_activity("training");
  fs::resize_file(path, 5000);
  volatile int sum = 0;
  for (const std::byte byte : file.bytes()) {
    sum = sum + static_cast<int>(byte);
  }
  return sum;
}

TEST(MappedFileDeathTest, AFileThatShrinksIsNamedAndEndsWithFour) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("x.bin", std::string(20000, 'a'));
  EXPECT_EXIT(sum_after_truncation(path), testing::ExitedWithCode(4),
              "llm: error: '" + path.string() +
                  "' changed size during training \\(SIGBUS at offset 8192\\)");
}

TEST(MappedFileDeathTest, AClosedMappingIsNoLongerBlamed) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("x.bin", std::string(20000, 'a'));
  { const MappedFile file = MappedFile::open(path); }
  // By the signal itself, or by the report of a sanitizer that watches for it; never with our exit
  // code.
  const auto by_itself = [](int status) { return WIFSIGNALED(status) || WEXITSTATUS(status) != 4; };
  EXPECT_EXIT(::raise(SIGBUS), by_itself, "");
}

}  // namespace
}  // namespace llm
