#include "base/file_io.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/support/expect_error.h"
#include "tests/support/no_more_files.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TEST(FileIo, WritesAppendsAndRewrites) {
  const TemporaryFolder folder;
  OutputFile file = OutputFile::create(folder / "x");
  file.write("hello ");
  file.write("world");
  file.write_at(0, std::as_bytes(std::span("J", 1)));
  EXPECT_EQ(file.bytes_written(), 12u);
  file.sync();
  file.close();
  EXPECT_EQ(folder.read("x"), "Jello world");
  OutputFile more = OutputFile::append_to(folder / "x");
  more.write("!");
  more.close();
  EXPECT_EQ(read_file(folder / "x"), "Jello world!");
}

TEST(FileIo, ErrorsNameTheFileAndTheCause) {
  const TemporaryFolder folder;
  const std::string missing = (folder / "no").string() + "/x";
  expect_error([&] { OutputFile::create(missing); }, Exit::io,
               "cannot create '" + missing + "': No such file or directory");
  expect_error([&] { rename_path(missing, folder / "y"); }, Exit::io,
               "cannot rename '" + missing + "' to '" + (folder / "y").string() +
                   "': No such file or directory");
  folder.write("file", "");
  const std::string below = (folder / "file").string() + "/sub";
  expect_error([&] { make_directories(below); }, Exit::io,
               "cannot create folder '" + (folder / "file").string() + "': File exists");
  EXPECT_NO_THROW(remove_file(folder / "absent"));
  EXPECT_NO_THROW(remove_tree(folder / "absent"));
}

TEST(FileIo, ReadFileRefusesWhatIsNotAFile) {
  const TemporaryFolder folder;
  const std::string here = folder.path().string();
  expect_error([&] { read_file(here, {.noun = "config", .exit = Exit::usage}); }, Exit::usage,
               "config '" + here + "' is a directory, expected a file");
  expect_error([&] { read_file(folder / "none"); }, Exit::bad_input,
               "cannot open '" + here + "/none': No such file or directory");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error([&] { read_file(folder / "pipe"); }, Exit::bad_input,
               "'" + here + "/pipe' is not a regular file");
  folder.write("large", std::string(2000, 'x'));
  expect_error([&] { read_file(folder / "large", {.max_bytes = 1024}); }, Exit::bad_input,
               "'" + here + "/large' is larger than 1.0 KiB");
}

TEST(FileIo, WhatIsThereAndCannotBeReadIsNoFaultOfItsContent) {
  const TemporaryFolder folder;
  const std::string path = folder.write("x", "hello").string(), loop = folder.path() / "loop";
  fs::create_symlink("loop", loop);
  expect_error([&] { read_file(loop); }, Exit::bad_input,
               "cannot open '" + loop + "': Too many levels of symbolic links");
  const NoMoreFiles none;
  const std::string message = "cannot open '" + path + "': Too many open files";
  expect_error([&] { read_file(path); }, Exit::io, message);
  expect_error([&] { read_file(path, {.exit = Exit::usage}); }, Exit::usage, message);
}

TEST(FileIo, SymlinkIsReplacedInOneStep) {
  const TemporaryFolder folder;
  replace_symlink(folder / "latest", "step-1");
  replace_symlink(folder / "latest", "step-2");
  EXPECT_EQ(fs::read_symlink(folder / "latest"), "step-2");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(FileIo, ExchangeSwapsTwoFolders) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  fs::create_directory(folder / "b");
  folder.write("a/old", "1");
  ASSERT_TRUE(exchange_paths(folder / "a", folder / "b"));
  EXPECT_TRUE(fs::exists(folder / "b/old"));
  EXPECT_FALSE(fs::exists(folder / "a/old"));
}

TEST(FileIo, FreeSpaceIsCheckedBeforehand) {
  const TemporaryFolder folder;
  EXPECT_GT(free_bytes(folder / "not/yet/there"), 0u);
  EXPECT_NO_THROW(check_free_space(folder.path(), 1));
  expect_error_with(
      [&] { check_free_space(folder.path(), uint64_t{1} << 62, "step-400 is intact"); }, Exit::io,
      "need 4611686018428 MB, ");
  expect_error_with(
      [&] { check_free_space(folder.path(), uint64_t{1} << 62, "step-400 is intact"); }, Exit::io,
      " free in " + folder.path().string() + "; step-400 is intact");
}

TEST(FaultPlan, FailsTheNthOperationWithThisErrno) {
  const TemporaryFolder folder;
  const std::string name = (folder / "x").string();
  const auto write_file = [&] {
    OutputFile file = OutputFile::create(name);
    file.write("abc");
    file.sync();
    file.close();
  };
  const std::vector<std::string> messages{
      "cannot create '" + name + "'", "cannot write '" + name + "'", "cannot sync '" + name + "'",
      "cannot close '" + name + "'"};
  for (int n = 1; n <= 4; ++n) {
    FaultPlan plan;
    plan.fail_operation(n, EIO);
    expect_error(write_file, Exit::io, messages[n - 1] + ": Input/output error");
  }
  FaultPlan plan;
  plan.fail_operation(2, ENOSPC);
  expect_error_with(write_file, Exit::io, messages[1] + ": No space left on device (");
  plan.fail_operation(0, 0);
  EXPECT_NO_THROW(write_file());
}

TEST(FaultPlan, LosesDataThatWasNotSynced) {
  const TemporaryFolder folder;
  FaultPlan plan;
  OutputFile file = OutputFile::create(folder / "x");
  sync_directory(folder.path());
  file.write("kept");
  file.sync();
  file.write("lost");
  plan.crash_at(plan.operations() + 1);
  EXPECT_THROW(file.sync(), SimulatedCrash);
  EXPECT_THROW(file.write("after death nothing works"), SimulatedCrash);
  plan.lose_unsynced();
  EXPECT_EQ(folder.read("x"), "kept");
}

TEST(FaultPlan, LosesNamesWhoseFolderWasNotSynced) {
  const TemporaryFolder folder;
  folder.write("old", "old content");
  folder.write("gone", "not really gone");
  FaultPlan plan;
  OutputFile file = OutputFile::create(folder / "new");
  file.write("new content");
  file.sync();
  rename_path(folder / "new", folder / "old");
  remove_file(folder / "gone");
  EXPECT_EQ(folder.read("old"), "new content");
  plan.crash_at(plan.operations() + 1);
  EXPECT_THROW(sync_directory(folder.path()), SimulatedCrash);
  plan.lose_unsynced();
  EXPECT_EQ(folder.read("old"), "old content");
  EXPECT_EQ(folder.read("gone"), "not really gone");
  EXPECT_FALSE(fs::exists(folder / "new"));
}

TEST(FaultPlan, KeepsWhatWasSynced) {
  const TemporaryFolder folder;
  folder.write("old", "old content");
  FaultPlan plan;
  OutputFile file = OutputFile::create(folder / "new");
  file.write("new content");
  file.sync();
  rename_path(folder / "new", folder / "old");
  sync_directory(folder.path());
  plan.lose_unsynced();
  EXPECT_EQ(folder.read("old"), "new content");
}

TEST(FaultPlan, ARenameWithoutSyncOfTheDataCanLeaveAnEmptyFile) {
  const TemporaryFolder folder;
  FaultPlan plan;
  OutputFile file = OutputFile::create(folder / "new");
  file.write("content");
  rename_path(folder / "new", folder / "name");
  sync_directory(folder.path());
  plan.lose_unsynced();
  EXPECT_EQ(folder.read("name"), "") << "the mistake that the commit order exists for";
}

}  // namespace
}  // namespace llm
