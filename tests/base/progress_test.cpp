#include "base/progress.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "base/log.h"

namespace llm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// What stderr got, which is no terminal here, while a clock was moved by hand.
class ProgressLines : public testing::Test {
 protected:
  ~ProgressLines() override { configure_log({}); }
  Progress::Now clock() {
    return [this] { return now_; };
  }
  void pass(Progress::Clock::duration time) { now_ += time; }
  static std::string stderr_of(const std::function<void()>& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }

 private:
  Progress::Clock::time_point now_;
};

TEST_F(ProgressLines, OneEveryTenSeconds) {
  Progress progress(400, "training", "rows", 0, clock());
  const auto step = [&](int64_t done, milliseconds time) {
    pass(time);
    return stderr_of([&] { progress.update(done, "step 3"); });
  };
  EXPECT_EQ(step(10, milliseconds(9'999)), "");
  EXPECT_EQ(step(100, milliseconds(1)), "training 25% 100/400 | 10 rows/s | eta 30s | step 3\n");
  EXPECT_EQ(step(150, milliseconds(9'999)), "");
  EXPECT_EQ(step(200, milliseconds(1)), "training 50% 200/400 | 10 rows/s | eta 20s | step 3\n");
  pass(seconds(5));
  EXPECT_EQ(stderr_of([&] { progress.finish(); }), "training 50% 200/400 | 8.0 rows/s | eta 25s\n");
}

TEST_F(ProgressLines, AnotherLinePutsTheNextOneOff) {
  Progress progress(400, "training", "rows", 0, clock());
  pass(seconds(9));
  progress.put_off();
  pass(seconds(9));
  EXPECT_EQ(stderr_of([&] { progress.update(90); }), "");
  pass(seconds(1));
  EXPECT_EQ(stderr_of([&] { progress.update(95); }), "training 24% 95/400 | 5.0 rows/s | eta 1m\n");
}

TEST_F(ProgressLines, WhatWasDoneBeforeSaysNothingAboutTheSpeed) {
  Progress progress(400, "training", "rows", 300, clock());
  pass(seconds(10));
  EXPECT_EQ(stderr_of([&] { progress.update(350); }),
            "training 88% 350/400 | 5.0 rows/s | eta 10s\n");
}

TEST_F(ProgressLines, WithoutATotalWhatWasDone) {
  Progress progress(0, "download", "MB", 0, clock());
  pass(seconds(20));
  EXPECT_EQ(stderr_of([&] { progress.update(40); }), "download 40 | 2.0 MB/s | 20s\n");
}

TEST_F(ProgressLines, WithNothingToCountTheTime) {
  Progress progress(0, "training the tokenizer", "", 0, clock());
  pass(seconds(10));
  EXPECT_EQ(stderr_of([&] { progress.update(0); }), "training the tokenizer | 10s\n");
  pass(seconds(10));
  EXPECT_EQ(stderr_of([&] { progress.update(0, "41 MB read"); }),
            "training the tokenizer | 20s | 41 MB read\n");
}

TEST_F(ProgressLines, NoneWhereTheUserWantsQuiet) {
  configure_log({"info", "text", true});
  Progress progress(400, "training", "rows", 0, clock());
  pass(seconds(60));
  EXPECT_EQ(stderr_of([&] { progress.update(10); }), "");
}

TEST_F(ProgressLines, ShortWorkSaysNothingAtItsEnd) {
  Progress progress(100, "tokenizing", "MB", 0, clock());
  EXPECT_EQ(stderr_of([&] {
              for (int i = 0; i <= 100; ++i) {
                pass(milliseconds(9));
                progress.update(i);
              }
              progress.finish();
            }),
            "");
}

TEST(Progress, TerminalsAreRecognisedByMoreThanTheDescriptor) {
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(stderr_is_terminal());
  ::setenv("NO_COLOR", "1", 1);
  ::unsetenv("FORCE_COLOR");
  EXPECT_FALSE(stderr_has_color());
  ::setenv("FORCE_COLOR", "1", 1);
  EXPECT_TRUE(stderr_has_color());
  ::unsetenv("FORCE_COLOR");
  ::unsetenv("NO_COLOR");
}

}  // namespace
}  // namespace llm
