// Masked diffusion: schedules, masking statistics, and that the loss is what it claims to be.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "data/packed_dataset.h"
#include "data/token_file.h"
#include "model/kernels/kernels.h"
#include "tests/training/scratch.h"
#include "tests/training/tiny_run.h"
#include "training/loss.h"

namespace llm {
namespace {

constexpr int64_t kMask = 4;
constexpr NoiseSchedule kSchedules[] = {NoiseSchedule::linear, NoiseSchedule::cosine,
                                        NoiseSchedule::sqrt};

TEST(Diffusion, SchedulesBeginAtNothingEndAtAllAndRise) {
  for (const NoiseSchedule schedule : kSchedules) {
    EXPECT_LT(noise_at(schedule, 1e-12).masked, 1e-5);
    EXPECT_DOUBLE_EQ(noise_at(schedule, 1).masked, 1);
    for (double t = 0.01; t < 1; t += 0.01) {
      EXPECT_GT(noise_at(schedule, t).masked, noise_at(schedule, t - 0.009).masked);
      const double slope =
          (noise_at(schedule, t + 1e-6).masked - noise_at(schedule, t - 1e-6).masked) / 2e-6;
      const NoiseLevel level = noise_at(schedule, t);
      EXPECT_NEAR(level.weight, slope / level.masked, 1e-6 * level.weight) << t;
    }
  }
  EXPECT_DOUBLE_EQ(noise_at(NoiseSchedule::linear, 0.25).weight, 4);
  EXPECT_DOUBLE_EQ(noise_at(NoiseSchedule::sqrt, 0.25).weight, 2);
  EXPECT_DOUBLE_EQ(noise_at(NoiseSchedule::cosine, 0.5).masked, 1 - std::cos(M_PI / 4));
}

TEST(Diffusion, UnknownSchedulesAreNamed) {
  EXPECT_EQ(parse_noise_schedule("sqrt"), NoiseSchedule::sqrt);
  EXPECT_THROW(parse_noise_schedule("cubic"), Error);
}

TEST(Diffusion, TimesOfAStepAreSpreadEvenlyAndMasksFollowThem) {
  constexpr int64_t kRows = 64, kTokens = 4096;
  const at::Tensor tokens = at::full({kRows, kTokens}, 9, at::kLong);
  const TrainingBatch batch =
      diffuse_tokens(tokens, {}, {NoiseSchedule::linear, kMask, 7}, 128, kRows);
  EXPECT_EQ(batch.target_count, kRows * kTokens);
  std::vector<double> shares;
  for (int64_t row = 0; row < kRows; ++row) {
    const at::Tensor hit = batch.targets[row] != kIgnoreTarget;
    EXPECT_TRUE(at::equal(hit, batch.input_ids[row] == kMask));
    EXPECT_TRUE(at::equal(hit, batch.target_weights[row] > 0));
    const double share = hit.sum().item<double>() / kTokens;
    const double weight = batch.target_weights[row].max().item<double>();
    EXPECT_NEAR(share * weight, 1, 5 * std::sqrt(weight / kTokens)) << "the weight is 1 / t";
    shares.push_back(share);
  }
  std::sort(shares.begin(), shares.end());
  for (size_t i = 0; i < shares.size(); ++i) {
    EXPECT_NEAR(shares[i], (static_cast<double>(i) + 0.5) / kRows, 1.0 / kRows + 0.03);
  }
}

TEST(Diffusion, RowsAreAFunctionOfSeedAndRowAlone) {
  const at::Tensor tokens = at::full({8, 50}, 9, at::kLong);
  const DiffusionOptions options{NoiseSchedule::cosine, kMask, 7};
  const TrainingBatch whole = diffuse_tokens(tokens, {}, options, 16, 8);
  for (int64_t row = 0; row < 8; ++row) {
    const TrainingBatch alone = diffuse_tokens(tokens.narrow(0, row, 1), {}, options, 16 + row, 8);
    EXPECT_TRUE(at::equal(alone.input_ids[0], whole.input_ids[row]));
    EXPECT_TRUE(at::equal(alone.target_weights[0], whole.target_weights[row]));
  }
  EXPECT_FALSE(at::equal(diffuse_tokens(tokens, {}, options, 24, 8).input_ids, whole.input_ids));
}

/// Two tokens, 5 or 6 each, of a joint distribution.
constexpr double kJoint[2][2] = {{0.55, 0.05}, {0.1, 0.3}};

/// -ln p of token `place` of a text, given what is not masked.
double true_nll(const std::vector<int64_t>& text, size_t place, bool other_visible) {
  const auto joint = [&](size_t own, size_t other) {
    return place == 0 ? kJoint[own][other] : kJoint[other][own];
  };
  const auto own = static_cast<size_t>(text[place] - 5),
             other = static_cast<size_t>(text[1 - place] - 5);
  const double p = other_visible ? joint(own, other) / (joint(0, other) + joint(1, other))
                                 : joint(own, 0) + joint(own, 1);
  return -std::log(p);
}

/// The mean bound over texts drawn from the distribution, by a denoiser that is right, or by one
/// that never looks at the other token.
double mean_bound(NoiseSchedule schedule, bool looks) {
  constexpr int64_t kTexts = 400'000;
  at::Tensor tokens = at::empty({kTexts, 2}, at::kLong);
  const CounterRandom random(11);
  for (int64_t r = 0; r < kTexts; ++r) {
    const double u = random.uniform(static_cast<uint64_t>(r));
    const int64_t cell = u < 0.55 ? 0 : u < 0.6 ? 1 : u < 0.7 ? 2 : 3;
    tokens.data_ptr<int64_t>()[2 * r] = 5 + cell / 2;
    tokens.data_ptr<int64_t>()[2 * r + 1] = 5 + cell % 2;
  }
  const TrainingBatch batch = diffuse_tokens(tokens, {}, {schedule, kMask, 1}, 0, 64);
  const int64_t *input = batch.input_ids.data_ptr<int64_t>(), *text = tokens.data_ptr<int64_t>();
  const float* weight = batch.target_weights.data_ptr<float>();
  double sum = 0;
  for (int64_t i = 0; i < 2 * kTexts; ++i) {
    const int64_t row = i / 2 * 2;
    const auto place = static_cast<size_t>(i - row);
    if (weight[i] > 0) {
      sum += weight[i] * true_nll({text[row], text[row + 1]}, place,
                                  looks && input[row + 1 - static_cast<int64_t>(place)] != kMask);
    }
  }
  return sum / kTexts;
}

TEST(Diffusion, TheBoundIsTheEntropyForAPerfectDenoiserAndAboveItForOthers) {
  double entropy = 0;
  for (const auto& row : kJoint) {
    for (const double p : row) {
      entropy -= p * std::log(p);
    }
  }
  for (const NoiseSchedule schedule : kSchedules) {
    EXPECT_NEAR(mean_bound(schedule, true), entropy, 0.02 * entropy);
    EXPECT_GT(mean_bound(schedule, false), 1.05 * entropy);
  }
}

/// Rows of the language of tiny_run.h, masked.
BatchSource noisy_batches() {
  return [](int64_t first_row, int64_t count) {
    TrainingBatch rows = tiny_batch(first_row, count, false);
    return diffuse_tokens(rows.input_ids, {}, {NoiseSchedule::cosine, 1, 5}, first_row, 8);
  };
}

TEST(Diffusion, AValidationSpreadsItsTimesAlikeForEveryBatch) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", std::string(64, '0'));
  const std::vector<int32_t> ids(200, 7);
  writer.append(ids);
  writer.finish();
  const auto masked = [&](int64_t rows_per_step, int64_t rows_per_spread) {
    DataLoaderOptions options;
    options.rows_per_step = rows_per_step;
    options.shuffle = false;
    DataLoader loader(std::make_unique<PackedDataset>(TokenFile::open(scratch.path / "x"), 8),
                      options);
    return diffusion_batches(loader, {NoiseSchedule::cosine, kMask, 7, rows_per_spread})(0, 12)
        .input_ids;
  };
  EXPECT_TRUE(at::equal(masked(4, 32), masked(2, 32)));
  EXPECT_FALSE(at::equal(masked(4, 0), masked(2, 0)));  // those of a step
}

TEST(Diffusion, TheLossFalls) {
  TrainerSetup setup = tiny_setup(1000);
  setup.training.objective = "diffusion";
  setup.batches = noisy_batches();
  setup.validation = [](int64_t first_row, int64_t count) {
    return noisy_batches()(1'000'000 + first_row, count);
  };
  setup.validation_rows = 256;
  const auto model = tiny_masked_model();
  Trainer trainer(setup, *model);
  const LossTotals before = trainer.evaluate();
  trainer.train();
  const LossTotals after = trainer.evaluate();
  EXPECT_EQ(after.tokens, 256 * kTinyLength) << "all tokens are scored";
  EXPECT_LT(after.targets, after.tokens) << "not all are masked";
  EXPECT_GT(before.loss(), 3.2) << "ln 32 = 3.47 is to know nothing";
  EXPECT_LT(after.loss(), before.loss() - 0.5);
}

}  // namespace
}  // namespace llm
