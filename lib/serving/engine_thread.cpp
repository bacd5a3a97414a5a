#include "serving/engine_thread.h"

#include <algorithm>
#include <exception>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "serving/context_plan.h"

namespace llm {
namespace {

constexpr int64_t kRequestsAPlace = 16;

}  // namespace

EngineThread::EngineThread(const TokenModel& model, EngineOptions options, int64_t queue_size)
    : model_(model),
      engine_(model, options),
      places_(queue_size + options.max_batch_size),
      max_batch_size_(options.max_batch_size),
      stats_(engine_.stats()) {
  thread_ = std::thread([this] { run(); });
}

EngineThread::~EngineThread() { stop(); }

bool EngineThread::submit(GenerationRequest request, Engine::Done done) {
  std::vector<Work> one;
  one.emplace_back(std::move(request), std::move(done));
  return submit_together(std::move(one));
}

bool EngineThread::submit_together(std::vector<Work> group) {
  for (const auto& [request, done] : group) engine_.check_request_fits(request);
  {
    const std::lock_guard guard(mutex_);
    if (!take_place(std::ssize(group))) return false;
    const auto left = std::make_shared<int64_t>(std::ssize(group));
    for (auto& [request, done] : group) {
      if (!request.cancelled) request.cancelled = std::make_shared<std::atomic<bool>>(false);
      inbox_.emplace_back(std::move(request), [this, left, told = std::move(done)](auto&& result) {
        --handed_;
        {
          const std::lock_guard at_end(mutex_);
          leave_place(--*left == 0);
        }
        told(std::move(result));
      });
    }
  }
  news_.notify_one();
  return true;
}

/// A place of the queue for a group, if one is free; with the mutex held.
bool EngineThread::take_place(int64_t requests) {
  check(!stopping_, "the engine is stopped");
  if (open_groups_ >= places_ || open_ >= places_ * kRequestsAPlace) return false;
  if (open_ == 0) turn_ended_ = std::chrono::steady_clock::now();
  ++open_groups_;
  open_ += requests;
  return true;
}

/// One request of a group is done; with the mutex held.
void EngineThread::leave_place(bool last_of_group) {
  --open_;
  if (last_of_group) --open_groups_;
}

bool EngineThread::submit_job(std::unique_ptr<EngineJob> job) {
  {
    const std::lock_guard guard(mutex_);
    if (!take_place(1)) return false;
    jobs_.push_back(std::move(job));
  }
  news_.notify_one();
  return true;
}

/// A piece of the first job, or its end.
void EngineThread::do_job(bool alone) {
  EngineJob* job = nullptr;
  bool stopping = false;
  {
    const std::lock_guard guard(mutex_);
    if (jobs_.empty()) return;
    job = jobs_.front().get();
    stopping = stopping_;
  }
  if (stopping) {
    job->abandon();
  } else if (job->piece(alone)) {
    return;
  }
  const std::lock_guard guard(mutex_);
  jobs_.pop_front();
  leave_place(true);
}

int64_t EngineThread::open_requests() const {
  const std::lock_guard guard(mutex_);
  return open_;
}

EngineStats EngineThread::stats() const {
  const std::lock_guard guard(mutex_);
  EngineStats stats = stats_;
  stats.waiting += std::ssize(inbox_) + std::max<int64_t>(0, std::ssize(jobs_) - 1);
  stats.running += jobs_.empty() ? 0 : 1;
  return stats;
}

std::chrono::steady_clock::duration EngineThread::turn_age() const {
  const std::lock_guard guard(mutex_);
  if (open_ == 0) return {};
  return std::chrono::steady_clock::now() - turn_ended_;
}

void EngineThread::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  news_.notify_one();
  if (thread_.joinable()) thread_.join();
}

/// Hands to the engine what it has a place for, in their order, and what it has only to end.
void EngineThread::take_inbox() {
  std::vector<Work> arrived;
  bool stopping = false;
  {
    const std::lock_guard guard(mutex_);
    stopping = stopping_;
    std::erase_if(inbox_, [&](Work& work) {
      if (handed_ >= places_ && !stopping && !work.first.is_cancelled()) return false;
      ++handed_;
      arrived.push_back(std::move(work));
      return true;
    });
  }
  for (auto& [request, done] : arrived) engine_.submit_checked(std::move(request), std::move(done));
  if (stopping) engine_.cancel_all();
}

void EngineThread::publish() {
  const std::lock_guard guard(mutex_);
  stats_ = engine_.stats();
  turn_ended_ = std::chrono::steady_clock::now();
}

void EngineThread::run() {
  bool busy = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!busy) {
        news_.wait(lock, [this] { return stopping_ || !inbox_.empty() || !jobs_.empty(); });
        if (stopping_ && inbox_.empty() && open_ == 0) return;
      }
    }
    take_inbox();
    try {
      busy = engine_.step();
    } catch (const std::exception& error) {
      log_error("engine: {}", error.what());
      engine_.fail_all(error.what());
      busy = engine_.step();
    }
    do_job(!busy);
    publish();
  }
}

}  // namespace llm
