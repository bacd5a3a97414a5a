#include "serving/http/metrics_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "base/error.h"

namespace llm::http {
namespace {

TEST(MetricsText, EachKindHasItsText) {
  Metrics metrics;
  metrics.counter({"llm:tokens_total"}, "Tokens").add(41);
  metrics.counter({"llm:tokens_total"}, "Tokens").add();
  metrics.gauge({"llm:running"}, "Now").set(1.5);
  metrics.gauge_of({"llm:asked"}, "Asked", [] { return 3.0; });
  metrics.counter_of({"llm:asked_total"}, "Asked too", [] { return 12345678.0; });
  Histogram& time = metrics.histogram({"llm:seconds"}, "Time", {0.1, 1});
  for (const double value : {0.05, 0.1, 0.5, 7.0}) time.observe(value);
  EXPECT_EQ(metrics.text(),
            "# HELP llm:tokens_total Tokens\n"
            "# TYPE llm:tokens_total counter\n"
            "llm:tokens_total 42\n"
            "# HELP llm:running Now\n"
            "# TYPE llm:running gauge\n"
            "llm:running 1.5\n"
            "# HELP llm:asked Asked\n"
            "# TYPE llm:asked gauge\n"
            "llm:asked 3\n"
            "# HELP llm:asked_total Asked too\n"
            "# TYPE llm:asked_total counter\n"
            "llm:asked_total 12345678\n"
            "# HELP llm:seconds Time\n"
            "# TYPE llm:seconds histogram\n"
            "llm:seconds_bucket{le=\"0.1\"} 2\n"
            "llm:seconds_bucket{le=\"1\"} 3\n"
            "llm:seconds_bucket{le=\"+Inf\"} 4\n"
            "llm:seconds_sum 7.65\n"
            "llm:seconds_count 4\n");
}

TEST(MetricsText, AliasesShowTheSameValueUnderOneHelpAndTypeEach) {
  Metrics metrics;
  metrics.counter({"llm:x_total", "vllm:x_total"}, "X", {{"model_name", "m"}}).add(2);
  metrics.counter({"llm:x_total", "vllm:x_total"}, "X", {{"model_name", "n"}}).add(3);
  EXPECT_EQ(metrics.text(),
            "# HELP llm:x_total X\n"
            "# TYPE llm:x_total counter\n"
            "llm:x_total{model_name=\"m\"} 2\n"
            "llm:x_total{model_name=\"n\"} 3\n"
            "# HELP vllm:x_total X\n"
            "# TYPE vllm:x_total counter\n"
            "vllm:x_total{model_name=\"m\"} 2\n"
            "vllm:x_total{model_name=\"n\"} 3\n");
}

TEST(MetricsText, EscapesHelpAndLabels) {
  Metrics metrics;
  metrics.gauge({"g"}, "a\\b\n\"c\"", {{"l", "a\\b\n\"c\""}}).set(0);
  EXPECT_EQ(metrics.text(),
            "# HELP g a\\\\b\\n\"c\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\"\"} 0\n");
}

TEST(MetricsText, NumbersThatAreNoneAreWrittenAsPrometheusReadsThem) {
  Metrics metrics;
  metrics.gauge({"a"}, "").set(std::numeric_limits<double>::infinity());
  metrics.gauge({"b"}, "").set(-std::numeric_limits<double>::infinity());
  metrics.gauge({"c"}, "").set(std::numeric_limits<double>::quiet_NaN());
  Histogram& h = metrics.histogram({"h"}, "", {1});
  h.observe(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(h.count(), 0u);
  const std::string text = metrics.text();
  EXPECT_NE(text.find("\na +Inf\n"), std::string::npos);
  EXPECT_NE(text.find("\nb -Inf\n"), std::string::npos);
  EXPECT_NE(text.find("\nc NaN\n"), std::string::npos);
}

TEST(MetricsText, RefusesWrongNamesAndDoubleMeanings) {
  Metrics metrics;
  metrics.counter({"a", "b"}, "");
  EXPECT_THROW(metrics.gauge({"a", "b"}, ""), Error);
  EXPECT_THROW(metrics.counter({"b"}, ""), Error);
  EXPECT_THROW(metrics.counter({"1a"}, ""), Error);
  EXPECT_THROW(metrics.counter({"a-b"}, ""), Error);
  EXPECT_THROW(metrics.counter({"c"}, "", {{"a:b", "x"}}), Error);
  EXPECT_THROW(metrics.histogram({"h"}, "", {1, 1}), Error);
  metrics.gauge({"g"}, "");
  EXPECT_THROW(metrics.gauge_of({"g"}, "", [] { return 0.0; }), Error);
  EXPECT_THROW(metrics.counter_of({"g"}, "", [] { return 0.0; }), Error);
  EXPECT_THROW(metrics.counter_of({"a", "b"}, "", [] { return 0.0; }), Error);
  metrics.counter_of({"asked_total"}, "", [] { return 0.0; });
  EXPECT_THROW(metrics.counter({"asked_total"}, ""), Error);
}

TEST(MetricsText, LabelsFromStrangersAreBounded) {
  Metrics metrics;
  for (int i = 0; i < 5000; ++i) {
    metrics.counter({"c"}, "", {{"path", std::to_string(i)}}).add();
  }
  const std::string text = metrics.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2 + 1001);
  EXPECT_NE(text.find("c{path=\"other\"} 4000\n"), std::string::npos);
}

TEST(MetricsText, CountsFromManyThreadsAddUp) {
  Metrics metrics;
  Counter& counter = metrics.counter({"c"}, "");
  Gauge& gauge = metrics.gauge({"g"}, "");
  Histogram& histogram = metrics.histogram({"h"}, "", {0.5});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) {
        counter.add();
        gauge.add(1);
        histogram.observe(i % 2);
        if (i % 1000 == 0) metrics.text();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 40000u);
  EXPECT_EQ(gauge.value(), 40000);
  EXPECT_EQ(histogram.count(), 40000u);
  EXPECT_EQ(histogram.sum(), 20000);
  EXPECT_EQ(histogram.in_bucket(1), 20000u);
}

}  // namespace
}  // namespace llm::http
