#include "serving/http/metrics_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"

namespace llm::http {
namespace {

constexpr size_t kMaxSeries = 1000;

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

bool is_name(std::string_view name, bool colons) {
  const auto letter = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':');
  };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// "{a="x",b="y"}", with `more` as a last pair; "" for none at all.
std::string braces(const Labels& labels, std::string_view more = {}) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, escaped(value, true));
  }
  if (!more.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", more);
  return out.empty() ? out : "{" + out + "}";
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)),
      buckets_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {
  for (size_t i = 0; i < bounds_.size(); ++i) {
    if (!std::isfinite(bounds_[i]) || (i > 0 && bounds_[i] <= bounds_[i - 1])) {
      fail(Exit::internal, "histogram bounds must be finite and rise");
    }
  }
}

void Histogram::observe(double value) {
  if (std::isnan(value)) return;
  const auto place = std::lower_bound(bounds_.begin(), bounds_.end(), value);  // value <= bound
  buckets_[static_cast<size_t>(place - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::in_bucket(size_t index) const {
  return buckets_[index].load(std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) total += in_bucket(i);
  return total;
}

struct Metrics::Series {
  Labels labels;
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> ask;

  void write(std::string& out, const std::string& name) const {
    if (counter) out += fmt::format("{}{} {}\n", name, braces(labels), counter->value());
    if (gauge) out += fmt::format("{}{} {}\n", name, braces(labels), number(gauge->value()));
    if (ask) out += fmt::format("{}{} {}\n", name, braces(labels), number(ask()));
    if (histogram) write_histogram(out, name);
  }

  void write_histogram(std::string& out, const std::string& name) const {
    const std::vector<double>& bounds = histogram->upper_bounds();
    uint64_t total = 0;
    for (size_t i = 0; i <= bounds.size(); ++i) {
      total += histogram->in_bucket(i);
      const std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
      out += fmt::format("{}_bucket{} {}\n", name, braces(labels, "le=\"" + bound + "\""), total);
    }
    out += fmt::format("{}_sum{} {}\n", name, braces(labels), number(histogram->sum()));
    out += fmt::format("{}_count{} {}\n", name, braces(labels), total);
  }
};

struct Metrics::Family {
  Names names;
  std::string help, type;
  std::map<Labels, std::unique_ptr<Series>> series;
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

Metrics::Series& Metrics::series(const Names& names, std::string_view help, std::string_view type,
                                 const Labels& labels) {
  for (const std::string& name : names) {
    if (!is_name(name, true)) fail(Exit::internal, fmt::format("'{}' names no metric", name));
  }
  for (const auto& [name, value] : labels) {
    if (!is_name(name, false)) fail(Exit::internal, fmt::format("'{}' names no label", name));
  }
  const auto known = std::find_if(families_.begin(), families_.end(), [&](const auto& family) {
    return std::find_first_of(family->names.begin(), family->names.end(), names.begin(),
                              names.end()) != family->names.end();
  });
  Family* family = nullptr;
  if (known == families_.end()) {
    families_.push_back(std::make_unique<Family>());
    family = families_.back().get();
    *family = {names, std::string(help), std::string(type), {}};
  } else {
    family = known->get();
    if (family->names != names || family->type != type) {
      fail(Exit::internal, fmt::format("metric '{}' is declared as another", names.front()));
    }
  }
  Labels kept = labels;
  if (family->series.size() >= kMaxSeries && !family->series.contains(labels)) {
    for (auto& [name, value] : kept) value = "other";
  }
  std::unique_ptr<Series>& slot = family->series[kept];
  if (!slot) {
    slot = std::make_unique<Series>();
    slot->labels = std::move(kept);
  }
  return *slot;
}

Counter& Metrics::counter(const Names& names, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& one = series(names, help, "counter", labels);
  if (one.ask) fail(Exit::internal, fmt::format("metric '{}' is asked, not set", names.front()));
  if (!one.counter) one.counter = std::make_unique<Counter>();
  return *one.counter;
}

Gauge& Metrics::gauge(const Names& names, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& one = series(names, help, "gauge", labels);
  if (one.ask) fail(Exit::internal, fmt::format("metric '{}' is asked, not set", names.front()));
  if (!one.gauge) one.gauge = std::make_unique<Gauge>();
  return *one.gauge;
}

Histogram& Metrics::histogram(const Names& names, std::string_view help,
                              const std::vector<double>& upper_bounds, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& one = series(names, help, "histogram", labels);
  if (!one.histogram) one.histogram = std::make_unique<Histogram>(upper_bounds);
  return *one.histogram;
}

void Metrics::declare_asked(const Names& names, std::string_view help, std::string_view type,
                            std::function<double()> ask, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  Series& one = series(names, help, type, labels);
  if (one.gauge || one.counter)
    fail(Exit::internal, fmt::format("metric '{}' is set, not asked", names.front()));
  one.ask = std::move(ask);
}

void Metrics::gauge_of(const Names& names, std::string_view help, std::function<double()> ask,
                       const Labels& labels) {
  declare_asked(names, help, "gauge", std::move(ask), labels);
}

void Metrics::counter_of(const Names& names, std::string_view help, std::function<double()> ask,
                         const Labels& labels) {
  declare_asked(names, help, "counter", std::move(ask), labels);
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& family : families_) {
    for (const std::string& name : family->names) {
      out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(family->help, false), name,
                         family->type);
      for (const auto& [labels, series] : family->series) series->write(out, name);
    }
  }
  return out;
}

}  // namespace llm::http
