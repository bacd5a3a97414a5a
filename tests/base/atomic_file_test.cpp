#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

int entries(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "x");
    file.write("half");
    EXPECT_FALSE(fs::exists(folder / "x"));
  }
  EXPECT_EQ(entries(folder.path()), 0) << "nothing remains without commit";
  write_file_atomically(folder / "x", "whole");
  EXPECT_EQ(folder.read("x"), "whole");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(AtomicFile, WorksInTheCurrentFolder) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  EXPECT_NO_THROW(write_file_atomically("bare-name", "content"));
  fs::current_path(before);
  EXPECT_EQ(folder.read("bare-name"), "content");
}

TEST(AtomicDirectory, ChecksTheSpaceInTheCurrentFolder) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  EXPECT_NO_THROW({
    AtomicDirectory directory("bare-name", 1);
    directory.write_file("x", "content");
    directory.commit();
  });
  fs::current_path(before);
  EXPECT_EQ(folder.read("bare-name/x"), "content");
}

/// Every operation fails once, with either errno: the error names a file, the old content stays,
/// nothing else remains.
TEST(AtomicFile, AnyFailingOperationLeavesTheOldFile) {
  for (const int error_number : {EIO, ENOSPC}) {
    for (int n = 1;; ++n) {
      const TemporaryFolder folder;
      folder.write("x", "old");
      FaultPlan plan;
      plan.fail_operation(n, error_number);
      bool failed = false;
      try {
        write_file_atomically(folder / "x", "new");
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), Exit::io);
        EXPECT_NE(error.message().find(folder.path().string()), std::string::npos)
            << error.message();
      }
      EXPECT_EQ(entries(folder.path()), 1) << "operation " << n;
      const std::string content = folder.read("x");
      EXPECT_TRUE(content == "old" || content == "new") << content;
      if (!failed) {
        EXPECT_EQ(content, "new");
        EXPECT_EQ(n, plan.operations() + 1) << "every operation had its turn";
        break;
      }
    }
  }
}

/// Power is lost before each operation, with each kind of loss: the file is the old or the new one.
TEST(AtomicFile, ACrashLeavesTheOldOrTheNewFile) {
  for (const Loss loss : {Loss::data_and_names, Loss::data_only, Loss::names_only}) {
    for (int n = 1;; ++n) {
      const TemporaryFolder folder;
      folder.write("x", "old");
      FaultPlan plan;
      plan.crash_at(n);
      bool crashed = false;
      try {
        write_file_atomically(folder / "x", "new");
      } catch (const SimulatedCrash&) {
        crashed = true;
      }
      plan.lose_unsynced(loss);
      const std::string content = folder.read("x");
      EXPECT_TRUE(content == "old" || content == "new")
          << "operation " << n << ": '" << content << "'";
      if (!crashed) {
        EXPECT_EQ(content, "new") << "after commit nothing can be lost";
        break;
      }
    }
  }
}

void write_checkpoint(const fs::path& path, const std::string& generation) {
  AtomicDirectory directory(path);
  OutputFile weights = directory.create_file("model.bin");
  weights.write("weights " + generation);
  weights.close();
  directory.write_file("training_state/state.json", "state " + generation);
  directory.sync_files();
  directory.write_file("manifest.json", "manifest " + generation);
  directory.commit();
}

/// What a reader finds: "none", the generation if everything belongs together, or "broken".
std::string found_checkpoint(const fs::path& path) {
  const auto content = [&](const char* name) {
    return fs::exists(path / name) ? read_file(path / name) : "";
  };
  if (!fs::exists(path / "manifest.json")) {
    return fs::exists(path) ? "broken" : "none";
  }
  const std::string manifest = content("manifest.json");
  const std::string generation = manifest.size() > 9 ? manifest.substr(9) : "";
  const bool whole = !generation.empty() && content("model.bin") == "weights " + generation &&
                     content("training_state/state.json") == "state " + generation;
  return whole ? generation : "broken";
}

TEST(AtomicDirectory, AppearsWholeOnCommit) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "step-1", "one");
  EXPECT_EQ(found_checkpoint(folder / "step-1"), "one");
  write_checkpoint(folder / "step-1", "two");
  EXPECT_EQ(found_checkpoint(folder / "step-1"), "two");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(AtomicDirectory, AnyFailingOperationLeavesTheOldDirectory) {
  const auto operations = [] {
    const TemporaryFolder folder;
    write_checkpoint(folder / "step-1", "old");
    const FaultPlan plan;
    write_checkpoint(folder / "step-1", "new");
    return plan.operations();
  }();
  for (const int error_number : {EIO, ENOSPC}) {
    int succeeded = 0;
    for (int n = 1; n <= operations; ++n) {
      const TemporaryFolder folder;
      write_checkpoint(folder / "step-1", "old");
      bool failed = false;
      {
        FaultPlan plan;
        plan.fail_operation(n, error_number);
        try {
          write_checkpoint(folder / "step-1", "new");
        } catch (const Error& error) {
          failed = true;
          EXPECT_EQ(error.code(), Exit::io);
          EXPECT_NE(error.message().find(folder.path().string()), std::string::npos)
              << error.message();
        }
      }
      const std::string found = found_checkpoint(folder / "step-1");
      EXPECT_TRUE(found == "new" || (failed && found == "old"))
          << "operation " << n << ": " << found;
      EXPECT_TRUE(failed || n > 15) << "operation " << n << " failed and nothing was said";
      if (failed) continue;
      ++succeeded;  // the new one was there already: the old one goes with the leftovers
      remove_leftovers_of(folder / "step-1");
      EXPECT_EQ(entries(folder.path()), 1) << "operation " << n;
    }
    EXPECT_EQ(succeeded, 1) << "the removal of the old one";
  }
}

TEST(AtomicDirectory, ACrashLeavesTheOldOrTheNewDirectory) {
  for (const char* before : {"none", "old"}) {
    for (const Loss loss : {Loss::data_and_names, Loss::data_only, Loss::names_only}) {
      for (int n = 1;; ++n) {
        const TemporaryFolder folder;
        if (std::string(before) == "old") {
          write_checkpoint(folder / "step-1", "old");
        }
        FaultPlan plan;
        plan.crash_at(n);
        bool crashed = false;
        try {
          write_checkpoint(folder / "step-1", "new");
        } catch (const SimulatedCrash&) {
          crashed = true;
        }
        plan.lose_unsynced(loss);
        const std::string found = found_checkpoint(folder / "step-1");
        EXPECT_TRUE(found == before || found == "new")
            << "operation " << n << ", loss " << static_cast<int>(loss) << ": " << found;
        if (!crashed) {
          EXPECT_EQ(found, "new");
          break;
        }
      }
    }
  }
}

TEST(AtomicDirectory, RefusesWhatWillNotFit) {
  const TemporaryFolder folder;
  expect_error_with(
      [&] { AtomicDirectory(folder / "step-2", uint64_t{1} << 62, "step-1 is intact"); }, Exit::io,
      "; step-1 is intact");
  EXPECT_EQ(entries(folder.path()), 0);
}

TEST(AtomicFile, WhatIsRemovedLeavesNothing) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "step-1");
  folder.write("step-1/model.bin", "whole");
  folder.write("run.json", "{}");
  fs::create_symlink("run.json", folder / "latest");
  for (const char* name : {"step-1", "latest"}) remove_atomically(folder / name);
  EXPECT_EQ(entries(folder.path()), 1);
  EXPECT_TRUE(fs::exists(folder / "run.json"));  // a link goes, not what it names
}

TEST(AtomicFile, AFreeNameIsTheFirstThatNobodyHas) {
  const TemporaryFolder folder;
  EXPECT_EQ(free_name(folder / "a", "old"), folder / "a.old");
  folder.write("a.old", "");
  folder.write("a.old-2", "");
  EXPECT_EQ(free_name(folder / "a", "old"), folder / "a.old-3");
}

TEST(AtomicDirectory, LeftoversOfDeadProcessesGo) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  const std::string dead = ".step-3.tmp-" + std::to_string(child);
  const std::string alive = ".step-4.tmp-" + std::to_string(::getppid());
  fs::create_directory(folder / dead);
  folder.write(dead + "/model.bin", "half");
  fs::create_directory(folder / alive);
  folder.write("notes.tmp-1", "not ours");
  EXPECT_EQ(remove_leftovers(folder.path()), std::vector<std::string>{dead});
  EXPECT_EQ(remove_leftovers(folder.path(), true), std::vector<std::string>{alive});
  EXPECT_TRUE(fs::exists(folder / "notes.tmp-1"));
  for (const char* file : {".set.bin.0", ".set.bin.old", ".set.index.1", ".other.bin.0"}) {
    folder.write(file + (".tmp-" + std::to_string(child)), "half");
  }
  remove_leftovers_of(folder / "set.bin");
  EXPECT_EQ(remove_leftovers(folder.path()).size(), 2u) << "those of other files";
}

TEST(AtomicFile, ErrorsNameTheFileAndNotItsTemporary) {
  const TemporaryFolder folder;
  const std::string lost = folder / "no/such/file", place = folder / "folder";
  expect_error([&] { write_file_atomically(lost, "a"); }, Exit::io,
               "cannot write '" + lost + "': No such file or directory");
  fs::create_directory(place);
  expect_error([&] { write_file_atomically(place, "a"); }, Exit::io,
               "cannot write '" + place + "': Is a directory");
}

}  // namespace
}  // namespace llm
