#include "base/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace llm {
namespace {

const std::vector<std::string> kVerbs{"pretrain", "train", "generate", "evaluate"};

TEST(NearestName, CountsEditsWithNeighbourSwapsAsOne) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("trian", "train"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("max_steps", "max-steps"), 0);
}

TEST(NearestName, FindsTheMistypedWord) {
  EXPECT_EQ(nearest_name("trian", kVerbs), "train");
  EXPECT_EQ(nearest_name("genrate", kVerbs), "generate");
  EXPECT_EQ(nearest_name_hint("evalute", kVerbs), "did you mean 'evaluate'?");
}

TEST(NearestName, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("xyz", kVerbs), std::nullopt);
  EXPECT_EQ(nearest_name("", kVerbs), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(10000, 'a'), kVerbs), std::nullopt);
  EXPECT_EQ(nearest_name_hint("xyz", kVerbs), "");
}

}  // namespace
}  // namespace llm
