#include "training/loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "data/packed_dataset.h"
#include "data/token_file.h"
#include "model/kernels/kernels.h"
#include "tests/training/scratch.h"
#include "tests/training/tiny_run.h"

namespace llm {
namespace {

MaskedLmOptions masking() {
  MaskedLmOptions options;
  options.mask_id = 4;
  options.vocab_size = 100;
  options.is_special.assign(100, false);
  for (const size_t id : {0, 1, 2, 3, 4}) {
    options.is_special[id] = true;
  }
  options.seed = 17;
  return options;
}

at::Tensor ordinary_tokens(int64_t rows, int64_t cols) {
  return at::arange(rows * cols, at::kLong).remainder(90).add(5).view({rows, cols});
}

// Row B34: 15 % targets, of which 80 % masked, 10 % random, 10 % kept.
TEST(Loss, MaskingHasItsStatistics) {
  const int64_t rows = 200, cols = 500;
  const at::Tensor tokens = ordinary_tokens(rows, cols);
  const TrainingBatch batch = mask_tokens(tokens, {}, masking(), 0);
  const double count = static_cast<double>(rows * cols);
  const at::Tensor is_target = batch.targets.ne(kIgnoreTarget);
  EXPECT_EQ(batch.target_count, is_target.sum().item<int64_t>());
  const double targets = static_cast<double>(batch.target_count);
  EXPECT_NEAR(targets / count, 0.15, 4 * std::sqrt(0.15 * 0.85 / count));
  const auto share = [&](const at::Tensor& which) {
    return which.logical_and(is_target).sum().item<double>() / targets;
  };
  const double tolerance = 4 * std::sqrt(0.1 * 0.9 / targets);
  const at::Tensor kept = batch.input_ids.eq(tokens);
  EXPECT_NEAR(share(batch.input_ids.eq(4)), 0.8, 2 * tolerance);
  EXPECT_NEAR(share(kept), 0.1 + 0.1 / 95,
              tolerance);  // a random token is now and then the same one
  EXPECT_NEAR(share(kept.logical_not().logical_and(batch.input_ids.ne(4))), 0.1, tolerance);
  EXPECT_TRUE(at::equal(batch.targets.masked_select(is_target), tokens.masked_select(is_target)))
      << "targets are the original tokens";
  EXPECT_TRUE(kept.masked_select(is_target.logical_not()).all().item<bool>())
      << "nothing else changes";
  const at::Tensor replaced =
      batch.input_ids.masked_select(kept.logical_not().logical_and(batch.input_ids.ne(4)));
  EXPECT_GE(replaced.min().item<int64_t>(), 5) << "replacements are ordinary tokens";
}

TEST(Loss, SpecialTokensAreNeverMasked) {
  const at::Tensor tokens = at::zeros({50, 50}, at::kLong);
  const TrainingBatch batch = mask_tokens(tokens, {}, masking(), 0);
  EXPECT_EQ(batch.target_count, 0);
  EXPECT_TRUE(at::equal(batch.input_ids, tokens));
}

TEST(Loss, MaskingIsAPureFunctionOfTheRow) {
  const at::Tensor tokens = ordinary_tokens(8, 64);
  const TrainingBatch whole = mask_tokens(tokens, {}, masking(), 40);
  for (int64_t row = 0; row < 8; ++row) {
    const TrainingBatch alone =
        mask_tokens(tokens.narrow(0, row, 1).contiguous(), {}, masking(), 40 + row);
    EXPECT_TRUE(at::equal(alone.input_ids[0], whole.input_ids[row]));
    EXPECT_TRUE(at::equal(alone.targets[0], whole.targets[row]));
  }
  EXPECT_FALSE(at::equal(mask_tokens(tokens, {}, masking(), 48).targets, whole.targets));
}

TEST(Loss, TheMaskedLossFalls) {
  TrainerSetup setup = tiny_setup(1000);
  setup.training.objective = "mlm";
  const auto masked = [](int64_t first_row, int64_t count) {
    MaskedLmOptions options = masking();
    options.vocab_size = kTinyVocab;
    options.mask_id = 1;
    options.is_special.clear();
    return mask_tokens(tiny_batch(first_row, count, false).input_ids, {}, options, first_row);
  };
  setup.batches = masked;
  setup.validation = [masked](int64_t first_row, int64_t count) {
    return masked(1'000'000 + first_row, count);
  };
  setup.validation_rows = 256;
  const auto model = tiny_masked_model();
  Trainer trainer(setup, *model);
  const double before = trainer.evaluate().loss();
  trainer.train();
  EXPECT_GT(before, 3.2) << "ln 32 = 3.47 is to know nothing";
  EXPECT_LT(trainer.evaluate().loss(), before - 0.5);
}

TEST(Loss, AMaskedObjectiveNeedsAMaskToken) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", std::string(64, '0'));
  const std::vector<int32_t> ids(50, 7);
  writer.append(ids);
  writer.finish();
  DataLoader loader(std::make_unique<PackedDataset>(TokenFile::open(scratch.path / "x"), 8), {});
  MaskedLmOptions options;
  options.vocab_size = 10;
  EXPECT_THROW(masked_batches(loader, options), Error);
}

TEST(Loss, CausalBatchesShiftByOneAndFollowTheRowNumber) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", std::string(64, '0'));
  std::vector<int32_t> ids(200);
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(i);
  }
  writer.append(ids);
  writer.finish();
  DataLoaderOptions options;
  options.rows_per_step = 3;
  options.shuffle = false;
  DataLoader loader(std::make_unique<PackedDataset>(TokenFile::open(scratch.path / "x"), 8),
                    options);
  const BatchSource source = causal_batches(loader);
  // Five rows across two of the loader's steps.
  const TrainingBatch batch = source(2, 5);
  ASSERT_EQ(batch.input_ids.sizes(), (std::vector<int64_t>{5, 8}));
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_EQ(batch.input_ids[row][0].item<int64_t>(), (2 + row) * 8);
    EXPECT_TRUE(at::equal(batch.targets[row], batch.input_ids[row] + 1));
  }
  EXPECT_EQ(batch.target_count, 40);
}

TEST(Loss, TotalsDivideByTokensAndBytes) {
  LossTotals totals;
  totals.nll = 8 * std::log(4.0);
  totals.tokens = 8;
  totals.correct = 2;
  totals.bytes = 16;
  EXPECT_DOUBLE_EQ(totals.perplexity(), 4.0);
  EXPECT_DOUBLE_EQ(totals.bits_per_byte(), 1.0);
  EXPECT_DOUBLE_EQ(totals.accuracy(), 0.25);
  EXPECT_EQ(LossTotals{}.bits_per_byte(), 0) << "no byte lengths given";
}

}  // namespace
}  // namespace llm
