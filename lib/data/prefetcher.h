// Prepares batches in threads before they are asked for.
//
// A request is (step, first_row, count). After each one the prefetcher expects the requests that
// followed its like before (rows within a step repeat from step to step), or, unseen, the next rows
// and then the next step. A wrong guess costs time and changes nothing: what is asked for is always
// computed from the request itself. get() is for one thread at a time; `fill` is called from
// several.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "data/data_loader.h"

namespace llm {

struct BatchRequest {
  int64_t step = 0;
  int64_t first_row = 0;
  int64_t count = 0;
  bool operator==(const BatchRequest&) const = default;
};

class Prefetcher {
 public:
  using Fill = std::function<Batch(const BatchRequest&)>;
  Prefetcher(Fill fill, int64_t rows_per_step, int64_t workers, int64_t depth);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The batch for `request`, waiting if a thread is at it. An error while filling is thrown here,
  /// and only for the request that has it.
  Batch get(const BatchRequest& request);
  /// How many of the requests so far were expected.
  int64_t hits() const { return hits_; }

 private:
  struct Slot {
    BatchRequest request;
    Batch batch;
    std::exception_ptr error;
    bool taken = false;
    bool ready = false;
  };
  struct Following {
    int64_t steps = 0;
    int64_t first_row = 0;
    int64_t count = 0;
  };
  void work();
  BatchRequest expected_after(const BatchRequest& request) const;
  void learn(const BatchRequest& request);
  void expect_from(const BatchRequest& request);

  Fill fill_;
  int64_t rows_per_step_;
  size_t depth_;
  int64_t hits_ = 0;
  bool has_last_ = false;
  BatchRequest last_;
  std::map<std::pair<int64_t, int64_t>, Following>
      following_;  // (first_row, count) -> what came next

  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable batch_ready_;
  std::deque<std::shared_ptr<Slot>> slots_;  // in the order in which they are expected
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace llm
