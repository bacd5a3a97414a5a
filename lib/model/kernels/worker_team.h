// A few threads that share out the items of one job after another, for work in steps of
// microseconds.
//
// OpenMP's parallel regions end when every thread has arrived: where another program takes a core
// away for a moment, all wait for the thread that lost it, hundreds of times per generated token
// (measured on two busy cores: 2 tokens/s instead of 25 with one thread). Here a job ends when its
// items are done: whoever runs takes the next item, a thread that does not get to run is not
// missed. Between jobs workers spin for a moment and then sleep.
//
// One job at a time: a call that finds the team busy (another thread's job) does its items alone.
// Results must not depend on who does which item. Exceptions must not leave the function.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace llm {

class WorkerTeam {
 public:
  /// The caller is one of the `threads` (at least 1).
  explicit WorkerTeam(int threads);
  ~WorkerTeam();
  WorkerTeam(const WorkerTeam&) = delete;
  WorkerTeam& operator=(const WorkerTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// work(item, member) for item 0 .. count - 1 in any order; member 0 .. size() - 1 tells who does
  /// it, for scratch memory. Returns when all are done.
  template <typename Work>
  void for_each(int64_t count, const Work& work) {
    const auto call = [](const void* context, int64_t item, int member) {
      (*static_cast<const Work*>(context))(item, member);
    };
    if (count > 0) run(count, call, &work);
  }

 private:
  using Call = void (*)(const void* context, int64_t item, int member);
  void run(int64_t count, Call call, const void* context);
  void take_items(uint64_t job, int member);
  void serve(int member);

  // ticket_ = job number << 32 | next item. An item is taken by raising it, which fails once
  // another job was published: a worker that slept through a job's end can never touch the next one
  // with the old job's function.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int64_t> count_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<uint32_t> news_{0};  // raised with every job; sleepers wait for it
  std::atomic<int> sleepers_{0};
  std::atomic<bool> closing_{false};
  std::mutex busy_;
  std::vector<std::thread> threads_;
};

}  // namespace llm
