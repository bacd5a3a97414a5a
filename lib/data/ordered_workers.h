// Runs `take -> work -> put` in several threads so that the results come out in the order in which
// the inputs were taken.
//
// take() is called by one thread at a time and fills an input, false when there is no more; work()
// runs in parallel; put() is called by one thread at a time, in order. A thread never waits for its
// turn to put: it leaves the result for whoever is putting and goes on, unless 4 results per thread
// are outstanding already, which bounds the memory. The first exception in input order, from any of
// the three, ends everything and is thrown by run().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace llm {

template <typename Input, typename Output>
class OrderedWorkers {
 public:
  std::function<bool(Input&)> take;
  std::function<Output(Input&&)> work;
  std::function<void(Output&&)> put;

  void run(int64_t threads) {
    bound_ = 4 * threads;
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads; ++i) {
      others.emplace_back([this] { loop(); });
    }
    loop();
    for (std::thread& thread : others) {
      thread.join();
    }
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  struct Result {
    Output output;
    std::exception_ptr error;
  };

  void loop() {
    Input input;
    for (int64_t ticket; (ticket = next_input(input)) >= 0;) {
      Result result;
      try {
        result.output = work(std::move(input));
      } catch (...) {  // thrown by run(), in input order
        result.error = std::current_exception();
      }
      hand_over(ticket, std::move(result));
      input = Input();
    }
  }

  int64_t next_input(Input& input) {
    std::unique_lock lock(take_mutex_);
    {
      std::unique_lock results_lock(results_mutex_);
      room_.wait(results_lock, [this] { return taken_ - put_ < bound_ || error_; });
      if (error_) {
        return -1;
      }
    }
    if (exhausted_) {
      return -1;
    }
    int64_t ticket = taken_;
    try {
      exhausted_ = !take(input);
    } catch (...) {  // thrown by run(), after the results of the inputs before it
      exhausted_ = true;
      {
        std::lock_guard results_lock(results_mutex_);
        taken_ += 1;
      }
      lock.unlock();
      hand_over(ticket, {Output(), std::current_exception()});
      return -1;
    }
    if (exhausted_) {
      return -1;
    }
    std::lock_guard results_lock(results_mutex_);
    taken_ += 1;
    return ticket;
  }

  void hand_over(int64_t ticket, Result&& result) {
    std::unique_lock lock(results_mutex_);
    results_.emplace(ticket, std::move(result));
    if (putting_) {
      return;
    }
    putting_ = true;
    for (auto ready = results_.find(put_); ready != results_.end() && !error_;
         ready = results_.find(put_)) {
      Result next = std::move(ready->second);
      results_.erase(ready);
      lock.unlock();
      if (!next.error) {
        try {
          put(std::move(next.output));
        } catch (...) {  // thrown by run()
          next.error = std::current_exception();
        }
      }
      lock.lock();
      error_ = next.error;
      put_ += 1;
      room_.notify_all();
    }
    putting_ = false;
  }

  int64_t bound_ = 0;
  std::mutex take_mutex_;
  bool exhausted_ = false;
  std::mutex results_mutex_;  // everything below; taken_ is written under both
  std::condition_variable room_;
  std::map<int64_t, Result> results_;
  int64_t taken_ = 0;
  int64_t put_ = 0;
  bool putting_ = false;
  std::exception_ptr error_;
};

}  // namespace llm
