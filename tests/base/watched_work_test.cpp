#include "base/watched_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "base/error.h"

namespace llm {
namespace {

using namespace std::chrono_literals;

TEST(WatchedWork, ReturnsWhenTheWorkHasEnded) {
  Progress progress(0, "work");
  bool done = false;
  run_watched([&] { done = true; }, progress, {});
  EXPECT_TRUE(done);
}

TEST(WatchedWork, ThrowsWhatTheWorkThrows) {
  Progress progress(0, "work");
  const auto refused = [&] {
    run_watched([] { fail(Exit::bad_input, "no text"); }, progress, [] { return false; });
  };
  try {
    refused();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "no text");
    EXPECT_EQ(error.code(), Exit::bad_input);
  }
}

TEST(WatchedWork, SaysThatItGoesOn) {
  // Each look at the clock is ten seconds after the one before.
  Progress::Clock::time_point now;
  Progress progress(0, "work", "", 0, [&] { return now += 10s; });
  testing::internal::CaptureStderr();
  run_watched([] { std::this_thread::sleep_for(250ms); }, progress, {});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("work | 20s\nwork | 40s\n")) << text;
}

TEST(WatchedWork, AStopLeavesItBehind) {
  struct Shared {
    std::atomic<bool> may_end{false}, ended{false};
  };
  const auto shared = std::make_shared<Shared>();
  Progress progress(0, "work");
  const auto work = [shared] {
    while (!shared->may_end) std::this_thread::sleep_for(1ms);
    shared->ended = true;
  };
  EXPECT_THROW(run_watched(work, progress, [] { return true; }), Stopped);
  EXPECT_FALSE(shared->ended);
  shared->may_end = true;
  for (int i = 0; i < 5000 && !shared->ended; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(shared->ended) << "it goes on by itself";
}

}  // namespace
}  // namespace llm
