#include "model/kernels/worker_team.h"

#include <algorithm>
#include <chrono>

namespace llm {
namespace {

constexpr int kItemBits = 32;
constexpr uint64_t kItemMask = (uint64_t{1} << kItemBits) - 1;
constexpr auto kSpinTime = std::chrono::microseconds(
    150);  // longer than the gaps between a token's jobs, shorter than anyone would notice

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Spins until `ready()`, at most for kSpinTime.
template <typename Ready>
bool spin_until(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

WorkerTeam::WorkerTeam(int threads) {
  for (int member = 1; member < std::max(threads, 1); ++member) {
    threads_.emplace_back([this, member] { serve(member); });
  }
}

WorkerTeam::~WorkerTeam() {
  closing_ = true;
  news_.fetch_add(1);
  news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerTeam::take_items(uint64_t job, int member) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (ticket >> kItemBits == job) {
    const auto item = static_cast<int64_t>(ticket & kItemMask);
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    if (item >= count_.load(std::memory_order_relaxed)) return;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
      continue;
    call(context, item, member);
    done_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void WorkerTeam::serve(int member) {
  uint32_t seen = 0;
  while (!closing_) {
    const auto is_new = [&] { return news_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(is_new)) {
      sleepers_.fetch_add(1);
      news_.wait(seen);
      sleepers_.fetch_sub(1);
    }
    seen = news_.load(std::memory_order_acquire);
    take_items(ticket_.load(std::memory_order_acquire) >> kItemBits, member);
  }
}

void WorkerTeam::run(int64_t count, Call call, const void* context) {
  std::unique_lock lock(busy_, std::try_to_lock);
  if (threads_.empty() || count == 1 || !lock) {
    for (int64_t item = 0; item < count; ++item) call(context, item, 0);
    return;
  }
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> kItemBits) + 1;
  // A worker that lags behind may read these while they change; its claim then fails on the job
  // number.
  ticket_.store(job << kItemBits | kItemMask, std::memory_order_seq_cst);  // closed: no item yet
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  count_.store(count, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(job << kItemBits, std::memory_order_seq_cst);
  news_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) news_.notify_all();
  take_items(job, 0);
  while (done_.load(std::memory_order_acquire) < count) {
    if (!spin_until([&] { return done_.load(std::memory_order_acquire) >= count; }))
      std::this_thread::yield();
  }
}

}  // namespace llm
