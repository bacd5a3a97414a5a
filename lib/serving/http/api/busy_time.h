// How long a server was busy: the length of the union of intervals, which may overlap and come in
// any order of their ends.
//
// The last thousand stretches are kept apart; an interval that reaches back beyond those counts
// from where they begin. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>

namespace llm::api {

class BusyTime {
 public:
  /// Seconds since any one moment.
  void add(double begin, double end) {
    begin = std::max(begin, earliest_);
    if (end <= begin) return;
    auto next = stretches_.upper_bound(begin);
    if (next != stretches_.begin() && std::prev(next)->second >= begin) --next;
    while (next != stretches_.end() && next->first <= end) {
      begin = std::min(begin, next->first);
      end = std::max(end, next->second);
      seconds_ -= next->second - next->first;
      next = stretches_.erase(next);
    }
    stretches_.emplace(begin, end);
    seconds_ += end - begin;
    if (stretches_.size() <= kMostStretches) return;
    earliest_ = stretches_.begin()->second;
    stretches_.erase(stretches_.begin());
  }
  double seconds() const { return seconds_; }

 private:
  static constexpr size_t kMostStretches = 1000;
  std::map<double, double> stretches_;  // begin -> end, apart from each other
  double earliest_ = 0, seconds_ = 0;
};

}  // namespace llm::api
