#include "training/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace llm {
namespace {

constexpr double kPeak = 0.002;

LrSchedule schedule(const std::string& name, int64_t warmup, int64_t total,
                    double floor_ratio = 0.1) {
  SchedulerConfig config;
  config.name = name;
  config.warmup_steps = warmup;
  config.min_lr_ratio = floor_ratio;
  return make_lr_schedule(config, kPeak, total);
}

TEST(LrSchedule, WarmUpIsLinearNeverZeroAndEndsAtThePeak) {
  for (const char* name : {"cosine", "linear", "polynomial", "constant", "wsd"}) {
    const LrSchedule lr = schedule(name, 4, 20);
    EXPECT_DOUBLE_EQ(lr.at(0), kPeak / 4);
    EXPECT_DOUBLE_EQ(lr.at(1), kPeak / 2);
    EXPECT_DOUBLE_EQ(lr.at(3), kPeak);
  }
}

TEST(LrSchedule, NeverExceedsThePeak) {
  for (const char* name : {"cosine", "linear", "polynomial", "constant", "wsd"}) {
    const LrSchedule lr = schedule(name, 7, 50);
    for (int64_t step = 0; step < 60; ++step) {
      EXPECT_LE(lr.at(step), kPeak * (1 + 1e-12));
      EXPECT_GT(lr.at(step), 0);
    }
  }
}

TEST(LrSchedule, CosineTable) {
  const LrSchedule lr = schedule("cosine", 0, 5);  // t = 0, 1/4, 1/2, 3/4, 1
  const double table[] = {kPeak, 0.1 * kPeak + 0.9 * kPeak * (1 + std::sqrt(0.5)) / 2, 0.55 * kPeak,
                          0.1 * kPeak + 0.9 * kPeak * (1 - std::sqrt(0.5)) / 2, 0.1 * kPeak};
  for (int64_t step = 0; step < 5; ++step) {
    EXPECT_NEAR(lr.at(step), table[step], 1e-15);
  }
  EXPECT_NEAR(lr.at(9), 0.1 * kPeak, 1e-15) << "beyond the end";
}

TEST(LrSchedule, LinearTable) {
  const LrSchedule lr = schedule("linear", 2, 7, 0.0);
  const double table[] = {0.5, 1, 1, 0.75, 0.5, 0.25, 0};
  for (int64_t step = 0; step < 7; ++step) {
    EXPECT_NEAR(lr.at(step), table[step] * kPeak, 1e-15) << step;
  }
}

TEST(LrSchedule, PolynomialTable) {
  const LrSchedule lr = schedule("polynomial", 0, 5, 0.0);  // power 2
  const double table[] = {1, 0.5625, 0.25, 0.0625, 0};
  for (int64_t step = 0; step < 5; ++step) {
    EXPECT_NEAR(lr.at(step), table[step] * kPeak, 1e-15) << step;
  }
}

TEST(LrSchedule, WarmupStableDecayTable) {
  const LrSchedule lr = schedule("wsd", 2, 10, 0.0);  // the last 2 of 10 steps decay
  const double table[] = {0.5, 1, 1, 1, 1, 1, 1, 1, 0.5, 0};
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_NEAR(lr.at(step), table[step] * kPeak, 1e-15) << step;
  }
}

TEST(LrSchedule, WarmUpLeftOutIsATenthOfTheRunAndAtMost2000) {
  SchedulerConfig config;
  config.warmup_steps.reset();
  EXPECT_EQ(make_lr_schedule(config, kPeak, 50).warmup_steps, 5);
  EXPECT_EQ(make_lr_schedule(config, kPeak, 3).warmup_steps, 0);
  EXPECT_EQ(make_lr_schedule(config, kPeak, 1'000'000).warmup_steps, 2000);
}

TEST(LrSchedule, WarmUpLongerThanTheRunIsRefusedByName) {
  SchedulerConfig config;
  config.warmup_steps = 500;
  try {
    validate(TrainingConfig{}, OptimizerConfig{}, config, 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "scheduler.warmup_steps (500) exceeds the 10 steps of the run");
  }
}

TEST(LrSchedule, AnUnknownShapeIsRefused) { EXPECT_THROW(schedule("cosin", 0, 5).at(1), Error); }

}  // namespace
}  // namespace llm
