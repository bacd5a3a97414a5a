#include "training/training_config.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "base/error.h"

namespace llm {
namespace {

struct Sections {
  TrainingConfig training;
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  CheckpointConfig checkpoint;
  MetricsConfig logging;
  void fields(Fields& f) {
    f.section("training", training);
    f.section("optimizer", optimizer);
    f.section("scheduler", scheduler);
    f.section("checkpoint", checkpoint);
    f.section("logging", logging);
  }
};

// Rows A21 and A51.
TEST(TrainingConfig, DefaultObjectHasTheReferencesValues) {
  const Sections s;
  EXPECT_EQ(s.training.batch_size, 8);
  EXPECT_EQ(s.optimizer.learning_rate, 3e-4);
  EXPECT_EQ(s.training.max_steps, 100000);
  EXPECT_EQ(s.optimizer.weight_decay, 0.1);
  EXPECT_EQ(s.optimizer.betas, (std::vector<double>{0.9, 0.95}));
  EXPECT_EQ(s.optimizer.epsilon, 1e-8);
  EXPECT_EQ(s.training.max_grad_norm, 1);
  EXPECT_EQ(s.scheduler.warmup_steps, 2000);
  EXPECT_EQ(s.scheduler.name, "cosine");
  EXPECT_EQ(s.logging.logging_steps, 10);
  EXPECT_EQ(s.training.eval_steps, 1000);
  EXPECT_EQ(s.checkpoint.save_steps, 5000);
  EXPECT_EQ(s.checkpoint.keep_last, 3);
  EXPECT_EQ(s.checkpoint.resume_from_checkpoint, "auto");
}

TEST(TrainingConfig, ReferenceNamesAreAliases) {
  Sections s;
  Fields f;
  s.fields(f);
  f.apply_text(
      "training: {num_train_steps: 7, micro_batch_size: 3}\noptimizer: {lr: 0.5, eps: "
      "0.001}\ncheckpoint: {save_total_limit: 9}\n",
      "c.yaml");
  EXPECT_EQ(s.training.max_steps, 7);
  EXPECT_EQ(s.training.batch_size, 3);
  EXPECT_EQ(s.optimizer.learning_rate, 0.5);
  EXPECT_EQ(s.optimizer.epsilon, 0.001);
  EXPECT_EQ(s.checkpoint.keep_last, 9);
}

TEST(TrainingConfig, ValuesOutOfRangeAreRefusedByTheirFlag) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"learning-rate", "2"}, {"learning-rate", "nan"},  {"batch-size", "0"},
      {"max-steps", "0"},     {"lr-scheduler", "cosin"}, {"optimizer-name", "adam"},
      {"precision", "fp8"},   {"objective", "elmo"},     {"optimizer.betas", "0.9,1"},
      {"keep-last", "-1"},    {"rows", "pages"},         {"training.noise_schedule", "log"},
  };
  for (const auto& [flag, value] : wrong) {
    Sections s;
    Fields f;
    s.fields(f);
    try {
      f.apply_flag(flag, value);
      ADD_FAILURE() << flag << " " << value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      EXPECT_NE(error.message().find(flag), std::string::npos) << error.message();
    }
  }
}

TEST(TrainingConfig, EarlyStoppingWithoutValidationIsRefused) {
  TrainingConfig training;
  training.early_stopping_patience = 2;
  training.eval_steps = 0;
  SchedulerConfig scheduler;
  scheduler.warmup_steps = 0;
  EXPECT_THROW(validate(training, {}, scheduler, 10), Error);
}

}  // namespace
}  // namespace llm
