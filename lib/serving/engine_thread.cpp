#include "serving/engine_thread.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <ranges>

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

bool EngineThread::submit_together(std::vector<Work> works) {
  for (const auto& [request, done] : works) engine_.check_request_fits(request);
  if (works.empty()) return true;
  {
    const std::lock_guard guard(mutex_);
    if (!has_place()) return false;
    const auto group = groups_.insert(groups_.end(), Group{.id = ++last_group_, .waiting = {}});
    group->open = std::ssize(works);
    note_work(group->open);
    waiting_ += group->open;
    for (auto& [request, done] : works) {
      if (!request.cancelled) request.cancelled = std::make_shared<std::atomic<bool>>(false);
      group->waiting.emplace_back(std::move(request),
                                  [this, group, told = std::move(done)](auto&& result) {
                                    done_one(group);
                                    told(std::move(result));
                                  });
    }
  }
  news_.notify_one();
  return true;
}

/// Whether one more group or job may come; with the mutex held.
bool EngineThread::has_place() const {
  check(!stopping_, "the engine is stopped");
  int64_t largest = 0;
  for (const Group& group : groups_) largest = std::max(largest, group.open);
  return std::ssize(groups_) + std::ssize(jobs_) < places_ &&
         open_ - largest < places_ * kRequestsAPlace;
}

/// So many requests or jobs come; with the mutex held.
void EngineThread::note_work(int64_t count) {
  if (open_ == 0) turn_ended_ = std::chrono::steady_clock::now();
  open_ += count;
}

void EngineThread::done_one(Groups::iterator group) {
  const std::lock_guard guard(mutex_);
  --open_;
  --handed_;
  --group->handed;
  if (--group->open == 0) groups_.erase(group);
}

bool EngineThread::submit_job(std::unique_ptr<EngineJob> job) {
  {
    const std::lock_guard guard(mutex_);
    if (!has_place()) return false;
    note_work(1);
    jobs_.push_back(std::move(job));
  }
  news_.notify_one();
  return true;
}

/// Ends the jobs that are over, wherever they stand.
void EngineThread::end_jobs(bool alone) {
  std::vector<std::unique_ptr<EngineJob>> over;
  {
    const std::lock_guard guard(mutex_);
    if (stopping_) return;
    for (auto& job : jobs_) {
      if (job->is_over()) over.push_back(std::move(job));
    }
    std::erase(jobs_, nullptr);
  }
  for (const auto& job : over) job->piece(alone);
  const std::lock_guard guard(mutex_);
  open_ -= std::ssize(over);
}

/// A piece of the first job, or its end.
void EngineThread::do_job(bool alone) {
  end_jobs(alone);
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
  --open_;
}

int64_t EngineThread::open_requests() const {
  const std::lock_guard guard(mutex_);
  return open_;
}

EngineStats EngineThread::stats() const {
  const std::lock_guard guard(mutex_);
  EngineStats stats = stats_;
  stats.waiting += waiting_ + std::max<int64_t>(0, std::ssize(jobs_) - 1);
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

/// A request of the group is the engine's from now on; with the mutex held.
void EngineThread::hand_over(Group& group, Work& work, Arrivals& arrived) {
  arrived.emplace_back(group.id, std::move(work));
  ++group.handed;
  ++handed_;
  --waiting_;
}

/// Hands to the engine what it has a place for, of each group as many as of the others, and what it
/// has only to end.
void EngineThread::take_waiting() {
  Arrivals arrived;
  bool stopping = false;
  {
    const std::lock_guard guard(mutex_);
    stopping = stopping_;
    for (Group& group : groups_) {
      std::erase_if(group.waiting, [&](Work& work) {
        const bool ends = stopping || work.first.is_cancelled();
        if (ends) hand_over(group, work, arrived);
        return ends;
      });
    }
    while (waiting_ > 0 && handed_ - engine_.stats().put_aside_held < places_) {
      const auto waits = [](const Group& group) { return !group.waiting.empty(); };
      auto waiting_groups = groups_ | std::views::filter(waits);
      Group& next = *std::ranges::min_element(waiting_groups, {}, &Group::handed);
      hand_over(next, next.waiting.front(), arrived);
      next.waiting.pop_front();
    }
  }
  for (auto& [group, work] : arrived)
    engine_.submit_checked(std::move(work.first), std::move(work.second), group);
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
    bool may_wait = false;
    {
      std::unique_lock lock(mutex_);
      if (!busy) {
        news_.wait(lock, [this] { return stopping_ || waiting_ > 0 || !jobs_.empty(); });
        if (stopping_ && open_ == 0) return;
      }
      may_wait = jobs_.empty();
    }
    take_waiting();
    try {
      busy = engine_.step(may_wait);
    } catch (const std::exception& error) {
      log_error("engine: {}", error.what());
      engine_.fail_all(error.what());
      busy = engine_.step();
    }
    do_job(!busy || !engine_.ran_pass());
    publish();
  }
}

}  // namespace llm
