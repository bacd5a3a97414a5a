#include "data/prefetcher.h"

#include <algorithm>

namespace llm {

Prefetcher::Prefetcher(Fill fill, int64_t rows_per_step, int64_t workers, int64_t depth)
    : fill_(std::move(fill)),
      rows_per_step_(rows_per_step),
      depth_(static_cast<size_t>(std::max<int64_t>(depth, 1))) {
  for (int64_t i = 0; i < workers; ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

Prefetcher::~Prefetcher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Prefetcher::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    auto free_slot =
        std::find_if(slots_.begin(), slots_.end(), [](const auto& slot) { return !slot->taken; });
    if (stopping_) {
      return;
    }
    if (free_slot == slots_.end()) {
      work_ready_.wait(lock);
      continue;
    }
    std::shared_ptr<Slot> slot = *free_slot;  // keeps it alive if the guess is dropped meanwhile
    slot->taken = true;
    lock.unlock();
    try {
      slot->batch = fill_(slot->request);
    } catch (...) {  // thrown by the call that asks for this batch
      slot->error = std::current_exception();
    }
    lock.lock();
    slot->ready = true;
    batch_ready_.notify_all();
  }
}

BatchRequest Prefetcher::expected_after(const BatchRequest& request) const {
  if (auto known = following_.find({request.first_row, request.count}); known != following_.end()) {
    return {request.step + known->second.steps, known->second.first_row, known->second.count};
  }
  int64_t next_row = request.first_row + request.count;
  bool same_step = next_row + request.count <= rows_per_step_;
  return same_step ? BatchRequest{request.step, next_row, request.count}
                   : BatchRequest{request.step + 1, 0, request.count};
}

void Prefetcher::learn(const BatchRequest& request) {
  bool forward = has_last_ && request.step >= last_.step && request.step - last_.step <= 1;
  if (forward) {
    following_[{last_.first_row, last_.count}] = {request.step - last_.step, request.first_row,
                                                  request.count};
  }
  last_ = request;
  has_last_ = true;
}

/// Called with the lock held: makes the queue hold the requests expected after `request`, keeping
/// those already under way.
void Prefetcher::expect_from(const BatchRequest& request) {
  std::deque<std::shared_ptr<Slot>> wanted;
  BatchRequest next = request;
  for (size_t i = 0; i < depth_; ++i) {
    next = expected_after(next);
    auto known = std::find_if(slots_.begin(), slots_.end(),
                              [&](const auto& slot) { return slot->request == next; });
    if (known != slots_.end()) {
      wanted.push_back(*known);
    } else {
      wanted.push_back(std::make_shared<Slot>());
      wanted.back()->request = next;
    }
  }
  slots_ = std::move(wanted);
}

Batch Prefetcher::get(const BatchRequest& request) {
  learn(request);
  std::shared_ptr<Slot> slot;
  {
    std::unique_lock lock(mutex_);
    auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& candidate) {
      return candidate->taken && candidate->request == request;
    });
    if (found != slots_.end()) {
      slot = *found;
    }
    expect_from(request);
    work_ready_.notify_all();
    if (slot) {
      batch_ready_.wait(lock, [&] { return slot->ready; });
    }
  }
  if (!slot) {
    return fill_(request);
  }
  if (slot->error) {
    std::rethrow_exception(slot->error);
  }
  hits_ += 1;
  return std::move(slot->batch);
}

}  // namespace llm
