#include "training/training_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file_io.h"
#include "tests/training/scratch.h"

namespace llm {
namespace {

TEST(TrainingState, LossesThatWereNotFiniteComeBackAsThat) {
  const Scratch scratch;
  make_directories(scratch.path / "training_state");
  TrainingState state;
  state.last_loss = 1.5;
  state.last_validation = {.nll = std::numeric_limits<double>::quiet_NaN(), .tokens = 7};
  state.last_long_validation = {.nll = 2.5, .tokens = 9};
  write_training_state(scratch.path, state);
  const TrainingState again = read_training_state(scratch.path);
  EXPECT_EQ(again.last_loss, 1.5);
  ASSERT_TRUE(again.last_validation);
  EXPECT_TRUE(std::isnan(again.last_validation->nll));
  EXPECT_EQ(again.last_validation->tokens, 7);
  ASSERT_TRUE(again.last_long_validation);
  EXPECT_EQ(again.last_long_validation->nll, 2.5);
}

}  // namespace
}  // namespace llm
