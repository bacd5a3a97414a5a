// A few threads that share out the items of one job after another, for work in steps of
// microseconds.
//
// OpenMP's parallel regions end when every thread has arrived: where another program takes a core
// away for a moment, all wait for the thread that lost it, hundreds of times per generated token
// (measured on two busy cores: 2 tokens/s instead of 25 with one thread). Here a job ends when its
// items are done: whoever runs takes the next item, a thread that does not get to run is not
// missed. Between jobs workers spin for a moment and then sleep.
//
// Every member begins with a stretch of neighbouring items, so that memory in the items' order is
// one sequential stream for it; who has finished its own takes single items from the far end of the
// others' (work stealing, Blumofe and Leiserson 1999). A job then ends within one item's time on
// all members.
//
// One job at a time: a call that finds the team busy (another thread's job) does its items alone.
// Results must not depend on who does which item. Exceptions must not leave the function.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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

  int size() const { return size_; }

  /// work(item, member, more) for item 0 .. count - 1 in any order; member 0 .. size() - 1 tells
  /// who does it, for scratch memory; `more`: item + 1 is the same member's next one, unless it is
  /// taken from it meanwhile. `more` may be left out. Returns when all are done.
  template <typename Work>
  void for_each(int64_t count, const Work& work) {
    const auto call = [](const void* context, int64_t item, int member, bool more) {
      const Work& function = *static_cast<const Work*>(context);
      if constexpr (std::is_invocable_v<const Work&, int64_t, int, bool>) {
        function(item, member, more);
      } else {
        function(item, member);
      }
    };
    if (count > 0) run(count, call, &work);
  }

 private:
  using Call = void (*)(const void* context, int64_t item, int member, bool more);
  // Items that nobody has begun: job number << 32 | first << 16 | last. One is taken by changing
  // the word, which fails once another job was published: a worker that slept through a job's end
  // can never touch the next one with the old job's function.
  struct alignas(64) Stretch {
    std::atomic<uint64_t> word{0};
  };
  void run(int64_t count, Call call, const void* context);
  void run_job(int64_t first, int64_t count, Call call, const void* context);
  void do_items(int member);
  bool do_item(Stretch& stretch, int member, bool own);
  void serve(int member);

  const int size_;
  const std::unique_ptr<Stretch[]> stretches_;  // one a member
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int64_t> first_{0};  // added to the items of stretches
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<uint32_t> news_{0};  // raised with every job; sleepers wait for it
  std::atomic<int> sleepers_{0};
  std::atomic<bool> closing_{false};
  std::mutex busy_;
  uint32_t job_ = 0;  // guarded by busy_
  std::vector<std::thread> threads_;
};

}  // namespace llm
