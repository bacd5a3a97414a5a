#include "serving/http/api/busy_time.h"

#include <gtest/gtest.h>

namespace llm::api {
namespace {

TEST(BusyTime, IsTheLengthOfTheUnion) {
  BusyTime time;
  EXPECT_EQ(time.seconds(), 0);
  time.add(10, 12);
  time.add(11, 14);  // overlaps
  time.add(20, 21);
  EXPECT_EQ(time.seconds(), 5);
  time.add(9, 25);  // holds all
  EXPECT_EQ(time.seconds(), 16);
  time.add(12, 13);  // within
  time.add(30, 30);
  time.add(31, 30);
  EXPECT_EQ(time.seconds(), 16);
  time.add(25, 26);  // touches
  EXPECT_EQ(time.seconds(), 17);
}

TEST(BusyTime, WhatLiesBeforeTheKeptStretchesIsNotCountedTwice) {
  BusyTime time;
  for (int i = 0; i < 2000; ++i) time.add(2 * i, 2 * i + 1);
  EXPECT_EQ(time.seconds(), 2000);
  time.add(0, 4000);
  EXPECT_LE(time.seconds(), 4000);
  EXPECT_GE(time.seconds(), 3000);
}

}  // namespace
}  // namespace llm::api
