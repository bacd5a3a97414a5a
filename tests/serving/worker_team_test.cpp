#include "model/kernels/worker_team.h"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(WorkerTeam, AMemberWalksItsOwnStretchAndStealsFromTheFarEnd) {
  WorkerTeam team(2);
  std::vector<int> doer(40, -1);
  std::atomic<int> order{0};
  std::vector<int> turn(40);
  std::atomic<bool> release{false};
  // Member 1 is held in its first item, so that the caller finishes its half and takes the rest.
  std::atomic<bool> held{false};
  team.for_each(40, [&](int64_t item, int member) {
    doer[static_cast<size_t>(item)] = member;
    turn[static_cast<size_t>(item)] = order++;
    if (member == 1) {
      held = true;
      while (!release) std::this_thread::yield();
    } else if (item == 0) {
      while (!held) std::this_thread::yield();
    } else if (item == 21) {
      release = true;
    }
  });
  EXPECT_EQ(std::count(doer.begin(), doer.end(), 1), 1);
  EXPECT_EQ(doer[20], 1);
  for (size_t item = 1; item < 20; ++item) EXPECT_LT(turn[item - 1], turn[item]);
  EXPECT_LT(turn[19], turn[39]);
  for (size_t item = 22; item < 40; ++item) EXPECT_LT(turn[item], turn[item - 1]);
}

TEST(WorkerTeam, MoreTellsThatTheNextItemIsTheSameMembers) {
  WorkerTeam team(1);
  std::vector<bool> alone;
  team.for_each(3, [&](int64_t, int, bool more) { alone.push_back(more); });
  EXPECT_EQ(alone, (std::vector<bool>{true, true, false}));

  WorkerTeam pair(2);
  std::vector<int> told(40);
  std::atomic<bool> both{false};
  pair.for_each(40, [&](int64_t item, int member, bool more) {
    if (member == 1) both = true;
    while (item == 0 && !both) std::this_thread::yield();
    told[static_cast<size_t>(item)] = more ? 1 : 0;
  });
  EXPECT_EQ(told[19], 0);  // the next one begins the other member's stretch
  EXPECT_EQ(told[39], 0);
  EXPECT_EQ(told[0], 1);
}

TEST(WorkerTeam, MoreItemsThanAJobHoldsAreAllDone) {
  WorkerTeam team(3);
  std::vector<uint8_t> done(200'000);
  team.for_each(200'000, [&](int64_t item, int) { ++done[static_cast<size_t>(item)]; });
  EXPECT_EQ(std::count(done.begin(), done.end(), 1), 200'000);
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
