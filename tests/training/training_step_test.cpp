// One step of the trainer: how its batch may be split, and what memory it takes.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "model/kernels/cpu_allocator.h"
#include "tests/training/tiny_run.h"
#include "training/trainer.h"

namespace llm {
namespace {

/// The flat gradient of one step, taken before the optimizer clears it.
at::Tensor gradient_of(int64_t batch_size, int64_t accumulation, bool uneven, double dropout,
                       double* loss) {
  const auto model = tiny_model(dropout);
  TrainerSetup setup = tiny_setup(1);
  setup.training.batch_size = batch_size;
  setup.training.gradient_accumulation_steps = accumulation;
  setup.batches = tiny_batches(uneven);
  at::Tensor gradient;
  setup.on_gradients = [&](int64_t, const at::Tensor& flat) { gradient = flat.clone(); };
  Trainer trainer(setup, *model);
  *loss = trainer.training_step().loss;
  return gradient;
}

// Row B35 and need 8: 1 x 8 = 2 x 4 = 8 x 1, also where micro-batches hold different numbers of
// tokens.
TEST(TrainingStep, HowABatchIsSplitChangesNeitherLossNorGradient) {
  for (const auto& [uneven, dropout] :
       std::vector<std::pair<bool, double>>{{false, 0}, {true, 0}, {false, 0.2}}) {
    double whole_loss = 0, loss = 0;
    const at::Tensor whole = gradient_of(8, 1, uneven, dropout, &whole_loss);
    EXPECT_GT(whole.abs().max().item<double>(), 1e-3);
    for (const auto& [batch, parts] :
         std::vector<std::pair<int64_t, int64_t>>{{4, 2}, {2, 4}, {1, 8}}) {
      const at::Tensor split = gradient_of(batch, parts, uneven, dropout, &loss);
      EXPECT_NEAR(loss, whole_loss, 1e-6) << batch << " x " << parts << " dropout " << dropout;
      EXPECT_LT((split - whole).abs().max().item<double>(), 1e-6)
          << batch << " x " << parts << (uneven ? " uneven" : "") << " dropout " << dropout;
    }
  }
}

/// Of one step on eight copies of one row, by a mixture of experts.
at::Tensor mixture_gradient(int64_t batch_size, double balance_weight) {
  ModelConfig config = tiny_model_config();
  config.moe.num_experts = 4;
  config.moe.num_experts_per_tok = 2;
  config.moe.router_aux_loss_coef = balance_weight;
  Transformer model(config, at::kFloat);
  initialize(model, 3);
  TrainerSetup setup = tiny_setup(1);
  setup.training.batch_size = batch_size;
  setup.training.gradient_accumulation_steps = 8 / batch_size;
  setup.batches = [](int64_t, int64_t count) {
    TrainingBatch batch = tiny_batch(0, 1, false);
    batch.input_ids = batch.input_ids.repeat({count, 1});
    batch.targets = batch.targets.repeat({count, 1});
    batch.target_count *= count;
    return batch;
  };
  at::Tensor gradient;
  setup.on_gradients = [&](int64_t, const at::Tensor& flat) { gradient = flat.clone(); };
  Trainer(setup, model).training_step();
  return gradient;
}

// Where every part of a batch is balanced as the whole is, the balance loss of the parts is that of
// the whole: each counts as its share of the tokens.
TEST(TrainingStep, TheBalanceLossOfAMixtureCountsOncePerStep) {
  const at::Tensor whole = mixture_gradient(8, 10), without = mixture_gradient(8, 0);
  EXPECT_GT((whole - without).abs().max().item<double>(), 1e-4) << "the loss must be felt";
  for (const int64_t rows : {1, 2, 4}) {
    EXPECT_LT((mixture_gradient(rows, 10) - whole).abs().max().item<double>(), 1e-6) << rows;
  }
}

// Blocks that went back to the system would cost a page fault for every 4 KiB in each step.
TEST(TrainingStep, WarmStepsAskTheSystemForNoLargeBlocks) {
  install_caching_cpu_allocator();
  for (const char* optimizer : {"adamw", "muon"}) {
    ModelConfig config = tiny_model_config();
    config.vocab_size = 4096;  // the step's buffers are then megabytes
    Transformer model(config, at::kFloat);
    initialize(model, 3);
    TrainerSetup setup = tiny_setup(8);
    setup.optimizer.name = optimizer;
    setup.training.batch_size = 8;
    setup.training.gradient_accumulation_steps = 2;
    Trainer trainer(setup, model);
    for (int i = 0; i < 3; ++i) trainer.training_step();
    const int64_t fresh = cpu_memory().fresh_bytes;
    EXPECT_GT(fresh, 1 << 20);
    for (int i = 0; i < 5; ++i) trainer.training_step();
    EXPECT_EQ(cpu_memory().fresh_bytes, fresh) << optimizer;
  }
}

TEST(TrainingStep, LossIsTheMeanOverTokensNotOverMicroBatches) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(1);
  setup.training.batch_size = 1;
  setup.training.gradient_accumulation_steps = 4;
  setup.batches = tiny_batches(true);
  double nll = 0;
  int64_t tokens = 0;
  {
    TrainerSetup one = setup;
    for (int64_t row = 0; row < 4; ++row) {
      one.training.gradient_accumulation_steps = 1;
      one.batches = [row](int64_t, int64_t) { return tiny_batch(row, 1, true); };
      const auto copy = tiny_model();
      const StepOutcome outcome = Trainer(one, *copy).training_step();
      nll += outcome.loss * static_cast<double>(outcome.tokens);
      tokens += outcome.tokens;
    }
  }
  const StepOutcome outcome = Trainer(setup, *model).training_step();
  EXPECT_EQ(outcome.tokens, tokens);
  EXPECT_NEAR(outcome.loss, nll / static_cast<double>(tokens), 1e-6);
}

}  // namespace
}  // namespace llm
