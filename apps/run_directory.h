// The directory of a training run: made or taken over, and what in it a run goes on from. Main
// thread only.
#pragma once

#include <filesystem>
#include <optional>

#include "base/file_lock.h"
#include "base/new_folders.h"
#include "training/checkpoint.h"
#include "training/training_config.h"

namespace llm {

/// RUN, made where it is not there, and locked: a second process is refused. A folder that holds
/// something else than a run, or a model of its own, is refused (exit 2) before anything in it
/// changes. One that was made here goes again when the object does, unless keep() was called or
/// somebody put something into it: a run that never began leaves nothing behind. One that is kept
/// stays after a loss of power, too.
class RunDirectory {
 public:
  explicit RunDirectory(std::filesystem::path path);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void keep();

 private:
  std::filesystem::path path_;
  NewFolders above_;
  bool made_here_ = false;
  std::optional<RunLock> lock_;
};

/// Decides what a run continues from. Refuses (exit 2) what would lose something: with `never` a
/// directory in which an earlier run left anything, unless under force, which removes that; without
/// it a finished model beside which no checkpoint is left; files of others in what the run would
/// remove or replace. The caller holds the RunDirectory.
std::optional<ResumeChoice> choose_start(const CheckpointConfig& config);

}  // namespace llm
