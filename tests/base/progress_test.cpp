#include "base/progress.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace llm {
namespace {

TEST(Progress, ShortWorkSaysNothing) {
  testing::internal::CaptureStderr();
  {
    Progress progress(100, "tokenizing", "MB");
    for (int i = 0; i <= 100; ++i) {
      progress.update(i);
    }
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
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
