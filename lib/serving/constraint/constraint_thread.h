// Does the work on grammars that others should not have to wait for.
//
// It starts with the first job, does one after the other, and gives way to those who compute (nice
// 10). Jobs must not throw. The destructor waits for the job that runs; those that wait are
// dropped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace llm {

class ConstraintThread {
 public:
  ConstraintThread() = default;
  ~ConstraintThread();
  ConstraintThread(const ConstraintThread&) = delete;
  ConstraintThread& operator=(const ConstraintThread&) = delete;

  void post(std::function<void()> job);
  /// Until a job has ended since the last call, but no longer than `patience`. For one caller.
  void wait(std::chrono::milliseconds patience);
  /// Jobs so far.
  uint64_t posted() const;

 private:
  void run();

  mutable std::mutex mutex_;
  std::condition_variable news_, ended_;
  std::deque<std::function<void()>> jobs_;
  uint64_t posted_ = 0;
  bool job_ended_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace llm
