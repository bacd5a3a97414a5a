// An Engine on a thread of its own, for callers on any thread.
//
// submit() checks and queues; callbacks (on_token, done) come from the engine's thread and must be
// quick and not throw. cancel by GenerationRequest::cancelled, looked at before every pass. stop()
// ends everything that is left as cancelled.
//
// The queue is bounded by groups: requests that were submitted together are taken together, and
// take one place, however many they are. A group finds no place where as many are open as may run
// and wait, or where those, the largest left aside, hold sixteen requests a place. Only as many
// requests as there are places are handed to the engine, which sets memory aside for each: groups
// in turn, so that one of thousands does not keep others waiting for all of its texts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "serving/engine.h"
#include "serving/engine_job.h"

namespace llm {

class EngineThread {
 public:
  using Work = std::pair<GenerationRequest, Engine::Done>;

  /// queue_size: groups that may wait, beside max_batch_size that run. Keeps a reference to the
  /// model.
  EngineThread(const TokenModel& model, EngineOptions options, int64_t queue_size);
  ~EngineThread();

  /// False: the queue is full. Throws what Engine::submit refuses (usage errors), or is stopped.
  bool submit(GenerationRequest request, Engine::Done done);
  /// The same for a group: all of it is taken, or nothing and no `done` is called.
  bool submit_together(std::vector<Work> works);
  /// A group of one that is no text. Jobs are done one after the other, in their order; one that is
  /// over leaves it at once.
  bool submit_job(std::unique_ptr<EngineJob> job);
  /// Requests and jobs that have been taken and not handed out.
  int64_t open_requests() const;
  int64_t max_batch_size() const { return max_batch_size_; }
  EngineStats stats() const;
  /// How long no turn (a pass, and a piece of a job) has ended while something is to be done; 0
  /// where nothing is. Answers at once, also while the thread hangs.
  std::chrono::steady_clock::duration turn_age() const;
  /// Ends all requests as cancelled and joins the thread.
  void stop();

 private:
  struct Group {
    uint64_t id;
    std::deque<Work> waiting;      // not handed to the engine yet
    int64_t open = 0, handed = 0;  // not done; of these, with the engine
  };
  using Groups = std::list<Group>;
  using Arrivals = std::vector<std::pair<uint64_t, Work>>;  // each with the id of its group

  void run();
  void hand_over(Group& group, Work& work, Arrivals& arrived);
  void take_waiting();
  void publish();
  bool has_place() const;
  void note_work(int64_t count);
  void done_one(Groups::iterator group);
  void end_jobs(bool alone);
  void do_job(bool alone);

  const TokenModel& model_;
  Engine engine_;
  int64_t places_, max_batch_size_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  Groups groups_;  // in the order they came; each until all of it is done
  uint64_t last_group_ = 0;
  std::deque<std::unique_ptr<EngineJob>> jobs_;
  int64_t open_ = 0;                  // requests and jobs
  int64_t waiting_ = 0, handed_ = 0;  // requests that wait here, and that the engine holds
  bool stopping_ = false;
  std::chrono::steady_clock::time_point turn_ended_;  // or work came where there was none
  EngineStats stats_;
  std::thread thread_;
};

}  // namespace llm
