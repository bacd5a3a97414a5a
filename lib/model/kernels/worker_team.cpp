#include "model/kernels/worker_team.h"

#include <algorithm>
#include <chrono>

namespace llm {
namespace {

constexpr int kJobShift = 32, kFirstShift = 16;
constexpr uint64_t kItemMask = 0xffff;  // items of a job at most; more are done in several jobs

uint64_t stretch_word(uint32_t job, int64_t first, int64_t last) {
  return static_cast<uint64_t>(job) << kJobShift | static_cast<uint64_t>(first) << kFirstShift |
         static_cast<uint64_t>(last);
}

int64_t first_of(uint64_t word) { return static_cast<int64_t>(word >> kFirstShift & kItemMask); }
int64_t last_of(uint64_t word) { return static_cast<int64_t>(word & kItemMask); }

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

WorkerTeam::WorkerTeam(int threads)
    : size_(std::max(threads, 1)),
      stretches_(std::make_unique<Stretch[]>(static_cast<size_t>(size_))) {
  for (int member = 1; member < size_; ++member) {
    threads_.emplace_back([this, member] { serve(member); });
  }
}

WorkerTeam::~WorkerTeam() {
  closing_ = true;
  news_.fetch_add(1);
  news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

/// Takes one item off `stretch`, its first for the owner and its last for others, and does it;
/// false where none is left.
bool WorkerTeam::do_item(Stretch& stretch, int member, bool own) {
  uint64_t word = stretch.word.load(std::memory_order_acquire);
  while (first_of(word) < last_of(word)) {
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    const int64_t first = first_.load(std::memory_order_relaxed);
    const uint64_t rest = own ? word + (uint64_t{1} << kFirstShift) : word - 1;
    if (!stretch.word.compare_exchange_weak(word, rest, std::memory_order_acq_rel,
                                            std::memory_order_acquire))
      continue;
    const int64_t item = first + (own ? first_of(word) : last_of(rest));
    call(context, item, member, own && first_of(rest) < last_of(rest));
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

void WorkerTeam::do_items(int member) {
  while (do_item(stretches_[static_cast<size_t>(member)], member, true)) {
  }
  for (int step = 1; step < size_; ++step) {
    while (do_item(stretches_[static_cast<size_t>((member + step) % size_)], member, false)) {
    }
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
    do_items(member);
  }
}

void WorkerTeam::run(int64_t count, Call call, const void* context) {
  std::unique_lock lock(busy_, std::try_to_lock);
  if (threads_.empty() || count == 1 || !lock) {
    for (int64_t item = 0; item < count; ++item) call(context, item, 0, item + 1 < count);
    return;
  }
  const auto most = static_cast<int64_t>(kItemMask);
  for (int64_t first = 0; first < count; first += most)
    run_job(first, std::min(most, count - first), call, context);
}

void WorkerTeam::run_job(int64_t first, int64_t count, Call call, const void* context) {
  ++job_;
  // A worker that lags behind may read what follows while it changes; its claim then fails on the
  // job number.
  for (int m = 0; m < size_; ++m)  // closed: no item yet
    stretches_[static_cast<size_t>(m)].word.store(stretch_word(job_, 0, 0));
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  first_.store(first, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  for (int m = 0; m < size_; ++m) {
    stretches_[static_cast<size_t>(m)].word.store(
        stretch_word(job_, count * m / size_, count * (m + 1) / size_));
  }
  news_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) news_.notify_all();
  do_items(0);
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) >= count; };
  while (!spin_until(all_done)) std::this_thread::yield();
}

}  // namespace llm
