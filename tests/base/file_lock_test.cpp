#include "base/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

TEST(RunLock, RefusesASecondHolderByName) {
  const TemporaryFolder folder;
  const RunLock lock(folder.path());
  try {
    const RunLock second(folder.path());
    FAIL() << "two holders";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    const std::string start = "'" + folder.path().string() + "' is locked by pid " +
                              std::to_string(::getpid()) + " on host ";
    EXPECT_TRUE(error.message().starts_with(start)) << error.message();
    const std::string since = error.message().substr(error.message().rfind(' ') + 1);
    EXPECT_EQ(since.size(), 5u) << "HH:MM";
    EXPECT_EQ(since[2], ':');
  }
}

TEST(RunLock, IsFreeAgainAndLeavesNoFile) {
  const TemporaryFolder folder;
  { const RunLock lock(folder.path()); }
  EXPECT_FALSE(std::filesystem::exists(folder / "run.lock"));
  EXPECT_NO_THROW(RunLock(folder.path()));
}

TEST(RunLock, DiesWithItsHolder) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const RunLock lock(folder.path());
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "run.lock")) << "killed holders leave the file";
  EXPECT_NO_THROW(RunLock(folder.path()));
}

TEST(RunLock, NamesAFolderThatCannotBeLocked) {
  expect_error_with([] { RunLock("/proc/1"); }, Exit::io, "cannot create '/proc/1/run.lock': ");
}

}  // namespace
}  // namespace llm
