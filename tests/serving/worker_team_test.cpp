#include "model/kernels/worker_team.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace llm {
namespace {

TEST(WorkerTeam, EveryItemIsDoneOnceBeforeTheCallReturns) {
  WorkerTeam team(4);
  for (int64_t round = 0; round < 20000; ++round) {
    const int64_t count = round % 37;
    std::vector<int64_t> done(static_cast<size_t>(count));
    team.for_each(count, [&](int64_t item, int member) {
      EXPECT_LT(member, 4);
      done[static_cast<size_t>(item)] += round;
    });
    for (const int64_t value : done) ASSERT_EQ(value, round);
  }
}

TEST(WorkerTeam, WorkersThatSleptJoinAgain) {
  WorkerTeam team(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int64_t> sum{0};
    team.for_each(1000, [&](int64_t item, int) { sum += item; });
    EXPECT_EQ(sum, 499500);
  }
}

TEST(WorkerTeam, MembersShareTheWork) {
  WorkerTeam team(2);
  std::vector<int64_t> items(2);
  for (int round = 0; round < 50 && (items[0] == 0 || items[1] == 0); ++round) {
    team.for_each(20, [&](int64_t, int member) {
      ++items[static_cast<size_t>(member)];
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    });
  }
  EXPECT_GT(items[0], 0);
  EXPECT_GT(items[1], 0);
}

TEST(WorkerTeam, ABusyTeamLeavesASecondCallerToWorkAlone) {
  WorkerTeam team(2);
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        team.for_each(10, [&](int64_t, int) { ++total; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 3 * 500 * 10);
}

TEST(WorkerTeam, OneMemberIsTheCaller) {
  WorkerTeam team(1);
  EXPECT_EQ(team.size(), 1);
  const auto caller = std::this_thread::get_id();
  team.for_each(5, [&](int64_t, int member) {
    EXPECT_EQ(member, 0);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
}

}  // namespace
}  // namespace llm
