#include "serving/engine_thread.h"

#include <exception>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "serving/context_plan.h"

namespace llm {

EngineThread::EngineThread(const TokenModel& model, EngineOptions options, int64_t queue_size)
    : model_(model),
      engine_(model, options),
      queue_size_(queue_size),
      max_batch_size_(options.max_batch_size),
      stats_(engine_.stats()) {
  thread_ = std::thread([this] { run(); });
}

EngineThread::~EngineThread() { stop(); }

bool EngineThread::submit(GenerationRequest request, Engine::Done done) {
  engine_.check_request_fits(request);
  {
    const std::lock_guard guard(mutex_);
    check(!stopping_, "the engine is stopped");
    if (open_ >= queue_size_ + max_batch_size_) return false;
    ++open_;
    if (!request.cancelled) request.cancelled = std::make_shared<std::atomic<bool>>(false);
    inbox_.emplace_back(std::move(request), std::move(done));
  }
  news_.notify_one();
  return true;
}

int64_t EngineThread::open_requests() const {
  const std::lock_guard guard(mutex_);
  return open_;
}

EngineStats EngineThread::stats() const {
  const std::lock_guard guard(mutex_);
  EngineStats stats = stats_;
  stats.waiting += std::ssize(inbox_);
  return stats;
}

void EngineThread::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  news_.notify_one();
  if (thread_.joinable()) thread_.join();
}

/// Hands the inbox to the engine; `done` counts the request as handed out.
void EngineThread::take_inbox() {
  std::deque<std::pair<GenerationRequest, Engine::Done>> arrived;
  bool stopping = false;
  {
    const std::lock_guard guard(mutex_);
    arrived.swap(inbox_);
    stopping = stopping_;
  }
  for (auto& [request, done] : arrived) {
    engine_.submit_checked(std::move(request),
                           [this, done = std::move(done)](GenerationResult&& result) {
                             {
                               const std::lock_guard guard(mutex_);
                               --open_;
                             }
                             done(std::move(result));
                           });
  }
  if (stopping) engine_.cancel_all();
}

void EngineThread::publish() {
  const std::lock_guard guard(mutex_);
  stats_ = engine_.stats();
}

void EngineThread::run() {
  bool busy = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!busy) {
        news_.wait(lock, [this] { return stopping_ || !inbox_.empty(); });
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
    publish();
  }
}

}  // namespace llm
