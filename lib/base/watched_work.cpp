#include "base/watched_work.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace llm {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(100);

struct WatchedWork {
  std::function<void()> work;
  std::mutex mutex;
  std::condition_variable ended;
  bool is_done = false;
  std::exception_ptr error;
};

void run_to_its_end(const std::shared_ptr<WatchedWork>& job) {
  std::exception_ptr error;
  try {
    job->work();
  } catch (...) {
    error = std::current_exception();
  }
  const std::lock_guard lock(job->mutex);
  job->error = error;
  job->is_done = true;
  job->ended.notify_one();
}

}  // namespace

void run_watched(std::function<void()> work, Progress& progress, const StopRequest& stop) {
  const auto job = std::make_shared<WatchedWork>();
  job->work = std::move(work);
  std::thread thread([job] { run_to_its_end(job); });
  std::unique_lock lock(job->mutex);
  while (!job->ended.wait_for(lock, kLookEvery, [&] { return job->is_done; })) {
    progress.update(0);
    if (stop && stop()) {
      thread.detach();
      throw Stopped();
    }
  }
  lock.unlock();
  thread.join();
  if (job->error) {
    std::rethrow_exception(job->error);
  }
}

}  // namespace llm
