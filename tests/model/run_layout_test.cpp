#include "model/run_layout.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TEST(RunLayout, StepsAreReadBackAsTheyAreWritten) {
  EXPECT_EQ(checkpoint_name(7), "step-00000007");
  EXPECT_EQ(checkpoint_name(1234567890123), "step-1234567890123");
  for (const int64_t step : {0l, 7l, 99999999l, 100000000l, INT64_MAX})
    EXPECT_EQ(step_of_checkpoint(fs::path("run") / checkpoint_name(step)), step);
}

TEST(RunLayout, OtherNamesAreNoCheckpoints) {
  for (const char* name :
       {"", "step-", "step-7", "step-000000007", "step-00000007.damaged", "step-00000007.abandoned",
        "step--0000007", "step-+0000007", "step-0000000x", "Step-00000007", ".step-00000007.tmp-9",
        "step-99999999999999999999", "final"})
    EXPECT_EQ(step_of_checkpoint(name), std::nullopt) << name;
}

TEST(RunLayout, TheNewestThatIsCompleteIsFoundByItsStep) {
  const TemporaryFolder folder;
  const fs::path run = folder.path();
  EXPECT_EQ(newest_complete_checkpoint(run / "absent"), "");
  for (const char* name : {"step-00000020", "step-99999999", "step-100000000", "step-7"})
    fs::create_directory(run / name);
  folder.write("step-00000100", "a file, no checkpoint");
  EXPECT_EQ(checkpoint_steps(run), (std::vector<int64_t>{20, 99999999, 100000000}));
  EXPECT_EQ(newest_complete_checkpoint(run), "") << "none has its manifest";
  folder.write("step-00000020/manifest.json", "{}");
  folder.write("step-7/manifest.json", "{}");
  EXPECT_EQ(newest_complete_checkpoint(run), "step-00000020");
  folder.write("step-100000000/manifest.json", "{}");
  folder.write("step-99999999/manifest.json", "{}");
  EXPECT_EQ(newest_complete_checkpoint(run), "step-100000000") << "not the last by name";
}

}  // namespace
}  // namespace llm
