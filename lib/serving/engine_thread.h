// An Engine on a thread of its own, for callers on any thread.
//
// submit() checks and queues; callbacks (on_token, done) come from the engine's thread and must be
// quick and not throw. The queue is bounded. cancel by GenerationRequest::cancelled, looked at
// before every pass. stop() ends everything that is left as cancelled.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "serving/engine.h"

namespace llm {

class EngineThread {
 public:
  /// queue_size: requests that may wait, beside those in flight. Keeps a reference to the model.
  EngineThread(const TokenModel& model, EngineOptions options, int64_t queue_size);
  ~EngineThread();

  /// False: the queue is full. Throws what Engine::submit refuses (usage errors), or is stopped.
  bool submit(GenerationRequest request, Engine::Done done);
  /// Requests that have been taken and not handed out.
  int64_t open_requests() const;
  int64_t max_batch_size() const { return max_batch_size_; }
  EngineStats stats() const;
  /// Ends all requests as cancelled and joins the thread.
  void stop();

 private:
  void run();
  void take_inbox();
  void publish();

  const TokenModel& model_;
  Engine engine_;
  int64_t queue_size_, max_batch_size_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::deque<std::pair<GenerationRequest, Engine::Done>> inbox_;
  int64_t open_ = 0;
  bool stopping_ = false;
  EngineStats stats_;
  std::thread thread_;
};

}  // namespace llm
