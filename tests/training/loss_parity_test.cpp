// Law: fast = plain. 200 steps with the fused kernels, in bf16-mixed and in fp32, follow the plain
// fp32 composition as closely as another seed does.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/training/tiny_run.h"

namespace llm {
namespace {

constexpr int64_t kSteps = 200;

/// The mean loss of the last fifty steps.
double final_loss(const std::string& precision, uint64_t seed, bool fused) {
  set_fused_kernels_enabled(fused);
  ModelConfig config = tiny_model_config();
  config.hidden_size = 32;
  config.intermediate_size = 64;
  TrainerSetup setup = tiny_setup(kSteps);
  setup.training.precision = precision;
  const Precision numbers = parse_precision(precision, at::kCPU);
  Transformer model(config, numbers.parameters);
  initialize(model, seed);
  model.set_compute_dtype(numbers.compute);
  Trainer trainer(std::move(setup), model);
  double sum = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    const double loss = trainer.training_step().loss;
    sum += step >= kSteps - 50 ? loss / 50 : 0;
  }
  set_fused_kernels_enabled(true);
  return sum;
}

TEST(LossParity, FusedTrainingFollowsThePlainFp32ReferenceWithinTheSpreadOfSeeds) {
  const std::vector<double> plain = {final_loss("32-true", 3, false),
                                     final_loss("32-true", 4, false),
                                     final_loss("32-true", 5, false)};
  const auto [least, most] = std::minmax_element(plain.begin(), plain.end());
  const double spread = *most - *least;
  EXPECT_LT(plain[0], 2.0);  // it learnt: a uniform guess costs ln 32 = 3.47
  EXPECT_LT(std::abs(final_loss("32-true", 3, true) - plain[0]), spread);
  EXPECT_LT(std::abs(final_loss("bf16-mixed", 3, true) - plain[0]), spread);
}

}  // namespace
}  // namespace llm
