#include "serving/constraint/constraint_thread.h"

#include <sys/resource.h>

#include <utility>

namespace llm {

ConstraintThread::~ConstraintThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  news_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ConstraintThread::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    ++posted_;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  news_.notify_one();
}

void ConstraintThread::wait(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, patience, [this] { return job_ended_; });
  job_ended_ = false;
}

uint64_t ConstraintThread::posted() const {
  const std::lock_guard lock(mutex_);
  return posted_;
}

void ConstraintThread::run() {
  setpriority(PRIO_PROCESS, 0, 10);  // Linux: of this thread alone
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
    job_ended_ = true;
    ended_.notify_one();
  }
}

}  // namespace llm
