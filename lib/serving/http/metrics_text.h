// Counters, gauges and histograms, and their text for Prometheus.
//
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4). A
// metric may have several names (llm:x, vllm:x): the same value under each. Declaring takes a lock;
// keep the reference, which stays good as long as the Metrics, and count with it: one atomic
// operation, from any thread. Declaring the same name and labels again gives the same object. A
// name has at most 1,000 sets of labels; beyond, one set whose values are "other" takes them all.
// Throws Error(Exit::internal) for a name that Prometheus would refuse, or one kind used as
// another.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm::http {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);  // rising, finite; +Inf is added
  void observe(double value);                            // NaN is not counted
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& upper_bounds() const { return bounds_; }
  uint64_t in_bucket(size_t index) const;  // not cumulative; index bounds.size() is +Inf

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

class Metrics {
 public:
  using Names = std::vector<std::string>;  // the first is the metric's own, the others aliases
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& counter(const Names& names, std::string_view help, const Labels& labels = {});
  Gauge& gauge(const Names& names, std::string_view help, const Labels& labels = {});
  Histogram& histogram(const Names& names, std::string_view help,
                       const std::vector<double>& upper_bounds, const Labels& labels = {});
  /// A gauge that is asked when the text is made; `ask` must be quick and thread-safe.
  void gauge_of(const Names& names, std::string_view help, std::function<double()> ask,
                const Labels& labels = {});
  /// A counter that is asked in the same way; what `ask` gives must never fall.
  void counter_of(const Names& names, std::string_view help, std::function<double()> ask,
                  const Labels& labels = {});

  /// The whole text, with families in the order of their declaration.
  std::string text() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Series;
  struct Family;
  Series& series(const Names& names, std::string_view help, std::string_view type,
                 const Labels& labels);
  void declare_asked(const Names& names, std::string_view help, std::string_view type,
                     std::function<double()> ask, const Labels& labels);
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Family>> families_;
};

}  // namespace llm::http
