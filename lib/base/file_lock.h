// One process per run directory.
//
// An flock on DIR/run.lock, which holds "pid host time": the kernel releases it when the process
// ends in whatever way, so a stale file never blocks. A second process gets Error(Exit::usage)
// "'run1' is locked by pid 4121 on host a since 10:02".
#pragma once

#include <filesystem>

namespace llm {

class RunLock {
 public:
  /// The directory must exist.
  explicit RunLock(const std::filesystem::path& directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_ = -1;
  std::filesystem::path file_;
};

}  // namespace llm
