#include "training/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"
#include "tests/training/scratch.h"
#include "tests/training/tiny_run.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TEST(Trainer, AStepWithoutTargetsChangesNothingButTheClock) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(2, run.path);
  setup.optimizer.weight_decay = 0;
  setup.batches = [](int64_t first, int64_t count) {
    TrainingBatch batch = tiny_batch(first, count, false);
    batch.targets.fill_(kIgnoreTarget);
    batch.target_count = 0;
    return batch;
  };
  const at::Tensor before = model->flat_parameters().clone();
  Trainer trainer(setup, *model);
  const StepOutcome outcome = trainer.training_step();
  EXPECT_FALSE(outcome.skipped);
  EXPECT_TRUE(std::isnan(outcome.loss)) << "a mean of nothing, not a perfect loss";
  EXPECT_EQ(trainer.step(), 1);
  EXPECT_EQ(trainer.train().loss, std::nullopt);
  EXPECT_TRUE(at::equal(model->flat_parameters(), before));
  EXPECT_NE(read_file(run.path / "metrics.jsonl").find("\"loss\":null,"), std::string::npos);
}

TEST(Trainer, ClippingScalesTheGradientToTheLimit) {
  // With plain SGD and no decay the step is lr * clipped gradient, whose norm is the limit.
  for (const double limit : {0.05, 1e9}) {
    const auto model = tiny_model();
    TrainerSetup setup = tiny_setup(1);
    setup.optimizer.name = "sgd";
    setup.optimizer.weight_decay = 0;
    setup.optimizer.learning_rate = 0.5;
    setup.scheduler.warmup_steps = 0;
    setup.training.max_grad_norm = limit;
    const at::Tensor before = model->flat_parameters().clone();
    Trainer trainer(setup, *model);
    const StepOutcome outcome = trainer.training_step();
    const double moved = (model->flat_parameters() - before).norm().item<double>() / 0.5;
    EXPECT_GT(outcome.grad_norm, 0.05);
    EXPECT_NEAR(moved, std::min(limit, outcome.grad_norm), 1e-5 * outcome.grad_norm);
  }
}

TEST(Trainer, ANonFiniteGradientIsSkippedAndCounted) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(4, run.path);
  setup.on_gradients = [](int64_t step, const at::Tensor& flat) {
    if (step == 1) {
      flat[5] = std::numeric_limits<float>::quiet_NaN();
    }
    if (step == 2) {
      flat[9] = std::numeric_limits<float>::infinity();
    }
  };
  Trainer trainer(setup, *model);
  trainer.training_step();
  const at::Tensor before = model->flat_parameters().clone();
  EXPECT_TRUE(trainer.training_step().skipped);
  EXPECT_TRUE(trainer.training_step().skipped);
  EXPECT_TRUE(at::equal(model->flat_parameters(), before));
  EXPECT_EQ(trainer.optimizer().updates, 1);
  EXPECT_EQ(trainer.step(), 3) << "the data goes on";
  EXPECT_FALSE(trainer.training_step().skipped);
  EXPECT_FALSE(at::equal(model->flat_parameters(), before));
  const std::string notes = read_file(run.path / "skipped_steps.jsonl");
  EXPECT_EQ(notes,
            "{\"step\":2,\"not_finite\":\"gradient\",\"first_row\":8,\"rows\":8,\"seed\":7}\n"
            "{\"step\":3,\"not_finite\":\"gradient\",\"first_row\":16,\"rows\":8,\"seed\":7}\n");
}

TEST(Trainer, ABetterValidationIsSavedOnASkippedStepToo) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(5, run.path);
  add_validation(setup);
  setup.training.eval_steps = 1;
  setup.checkpoint.save_steps = 3;
  setup.optimizer.learning_rate = 0;  // the first validation is the only gain
  setup.on_gradients = [](int64_t step, const at::Tensor& flat) {
    if (step == 0 || step == 2) flat[5] = std::numeric_limits<float>::quiet_NaN();
  };
  const TrainingResult result = Trainer(setup, *model).train();
  EXPECT_EQ(result.best_step, 1);
  EXPECT_EQ(std::filesystem::read_symlink(run.path / "best"), "step-00000001");
  EXPECT_TRUE(std::filesystem::exists(run.path / "best" / "model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(run.path / "step-00000003")) << "a skipped step, no gain";
}

// Reliability T8.
TEST(Trainer, ARunOfNonFiniteStepsStopsWithExit5AndLeavesTheLastCheckpoint) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(50, run.path);
  setup.training.max_skipped_steps = 3;
  setup.checkpoint.save_steps = 4;
  setup.on_step = [&](int64_t step) {
    if (step == 6) {
      model->flat_parameters().slice(0, -1).fill_(
          std::numeric_limits<float>::quiet_NaN());  // in the output head: every step meets it
    }
  };
  try {
    Trainer(setup, *model).train();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::numerical);
    EXPECT_NE(error.message().find(
                  " was not finite in 3 steps in a row (steps 7-9); step-00000004 is intact"),
              std::string::npos)
        << error.message();
  }
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{4}))
      << "NaN weights are never saved (step 8 was due)";
  verify_checkpoint(run.path / "step-00000004");
}

TEST(Trainer, ANanThatNoLossSeesIsFoundBeforeItIsSaved) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(50, run.path);
  setup.checkpoint.save_steps = 4;
  setup.on_step = [&](int64_t step) {
    if (step == 6) {
      model->flat_parameters().narrow(0, 0, 1).fill_(
          std::numeric_limits<float>::quiet_NaN());  // the embedding of token 0, which no row holds
    }
  };
  setup.optimizer.weight_decay = 0;
  try {
    Trainer(setup, *model).train();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::numerical);
    EXPECT_EQ(error.message(),
              "model.embed_tokens.weight is no longer finite at step 8; step-00000004 is intact");
  }
}

TEST(Trainer, LossFallsUnderEveryOptimizer) {
  for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
    const auto model = tiny_model();
    TrainerSetup setup = tiny_setup(40);
    setup.optimizer.name = name;
    setup.optimizer.learning_rate = name == std::string("lion")  ? 0.002
                                    : name == std::string("sgd") ? 0.3
                                                                 : 0.02;
    Trainer trainer(setup, *model);
    const double first = trainer.training_step().loss;
    double last = 0;
    while (trainer.step() < 40) {
      last = trainer.training_step().loss;
    }
    EXPECT_LT(last, 0.8 * first) << name;
  }
}

TEST(Trainer, LossFallsInEveryPrecision) {
  for (const char* name : {"32-true", "bf16-mixed", "bf16-true", "16-mixed"}) {
    const Precision precision = parse_precision(name, at::kCPU);
    const auto model = tiny_model(0, precision.parameters);
    TrainerSetup setup = tiny_setup(40);
    setup.training.precision = name;
    setup.optimizer.learning_rate = 0.02;
    Trainer trainer(setup, *model);
    const double first = trainer.training_step().loss;
    double last = 0;
    while (trainer.step() < 40) {
      last = trainer.training_step().loss;
    }
    EXPECT_LT(last, 0.8 * first) << name;
  }
}

TEST(Trainer, SaysWhereItIsWhereNoStepIsLogged) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(8);
  add_validation(setup);
  setup.training.eval_steps = 0;
  setup.metrics.logging_steps = 1000;
  setup.metrics.gradient_norm_steps = 0;
  Progress::Clock::time_point now;
  setup.progress_clock = [&] { return now; };
  setup.on_step = [&](int64_t) { now += std::chrono::seconds(4); };
  testing::internal::CaptureStderr();
  Trainer(setup, *model).train();
  const std::string text = testing::internal::GetCapturedStderr();
  std::vector<std::string> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    if (text.compare(begin, 9, "training ") == 0) lines.push_back(text.substr(begin, end - begin));
  }
  // Step 1 is logged, at 0 s. Twelve seconds later three more are made; so are three more then.
  ASSERT_EQ(lines.size(), 2u) << text;
  EXPECT_TRUE(lines[0].starts_with("training 38% ")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with("| eta 20s | step 4/8")) << lines[0];
  EXPECT_TRUE(lines[1].ends_with("| eta 8s | step 7/8")) << lines[1];
}

TEST(Trainer, WhereAFailedRunStandsIsKnown) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(100);
  setup.training.max_skipped_steps = 2;
  setup.on_gradients = [](int64_t step, const at::Tensor& gradients) {
    if (step >= 3) gradients.fill_(NAN);
  };
  Trainer trainer(setup, *model);
  EXPECT_EQ(trainer.result().loss, std::nullopt) << "no step was made";
  EXPECT_THROW(trainer.train(), Error);
  const TrainingResult result = trainer.result();
  EXPECT_EQ(result.steps, 5);
  EXPECT_EQ(result.skipped_steps, 2);
  EXPECT_GT(result.tokens, 0);
  ASSERT_TRUE(result.loss.has_value());
  EXPECT_GT(*result.loss, 0);
}

TEST(Trainer, EarlyStoppingEndsAfterExactlyPatienceEvaluationsWithoutGain) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(1000, run.path);
  add_validation(setup);
  setup.training.eval_steps = 2;
  setup.training.early_stopping_patience = 3;
  setup.optimizer.learning_rate = 0;  // nothing is learnt: the first validation is the only gain
  int evaluations = 0;
  setup.on_record = [&](const StepRecord& record) { evaluations += record.validation.has_value(); };
  const TrainingResult result = Trainer(setup, *model).train();
  EXPECT_EQ(result.reason, StopReason::early_stopping);
  EXPECT_EQ(evaluations, 4);
  EXPECT_EQ(result.steps, 8);
  EXPECT_EQ(result.best_step, 2);
}

TEST(Trainer, BestNamesTheLowestValidationLossAndSurvivesKeepLast) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(24, run.path);
  add_validation(setup);
  setup.training.eval_steps = 4;
  setup.checkpoint.save_steps = 4;
  setup.checkpoint.keep_last = 2;
  setup.scheduler.name = "constant";
  setup.scheduler.warmup_steps = 0;
  std::map<int64_t, double> losses;
  setup.on_record = [&](const StepRecord& record) {
    if (record.validation) {
      losses[record.step] = record.validation->loss();
    }
  };
  // From step 12 on the run is spoilt on purpose.
  setup.on_step = [&](int64_t step) {
    if (step >= 12) {
      model->flat_parameters().mul_(1.2);
    }
  };
  const TrainingResult result = Trainer(setup, *model).train();
  int64_t lowest = 4;
  for (const auto& [step, loss] : losses) {
    lowest = loss < losses[lowest] ? step : lowest;
  }
  EXPECT_EQ(result.best_step, lowest);
  EXPECT_LE(lowest, 16);
  EXPECT_EQ(fs::read_symlink(run.path / "best"), checkpoint_name(lowest));
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{lowest, 20, 24}));
}

TEST(Trainer, SavesByStepsEpochsAndAtTheEnd) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(19, run.path);  // 8 rows a step, 64 an epoch
  setup.checkpoint.save_steps = 5;
  setup.checkpoint.save_epochs = 1;
  setup.checkpoint.keep_last = 0;
  Trainer(setup, *model).train();
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{5, 8, 10, 15, 16, 19}));
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), checkpoint_name(19));
}

TEST(Trainer, AStopInMidStepAppliesNothingAndSavesWhereTheRunStands) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(10, run.path);
  int asked = 0;
  setup.stop_requested = [&] {
    return ++asked > 8;
  };  // three looks per step: in the middle of the third
  const TrainingResult result = Trainer(setup, *model).train();
  EXPECT_EQ(result.reason, StopReason::signal);
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{2}));
  const auto untouched = tiny_model();
  TrainerSetup again = tiny_setup(10);
  Trainer reference(again, *untouched);
  reference.training_step();
  reference.training_step();
  EXPECT_TRUE(at::equal(model->flat_parameters(), untouched->flat_parameters()));
  EXPECT_EQ(model->flat_gradients().abs().max().item<float>(), 0);
}

// Row B53: a model that knows nothing has perplexity V.
TEST(Trainer, AUniformModelHasPerplexityEqualToTheVocabulary) {
  const auto model = tiny_model();
  model->flat_parameters().zero_();
  TrainerSetup setup = tiny_setup(1);
  add_validation(setup, 13);
  setup.token_bytes.assign(kTinyVocab, 2);
  const LossTotals totals = Trainer(setup, *model).evaluate();
  EXPECT_EQ(totals.tokens, 13 * kTinyLength);
  EXPECT_NEAR(totals.perplexity(), kTinyVocab, 1e-3);
  EXPECT_EQ(totals.bytes, 2 * totals.tokens);
  EXPECT_NEAR(totals.bits_per_byte(), 2.5, 1e-5);  // log2(32) / 2
}

TEST(Trainer, ValidationDoesNotDependOnTheBatchSize) {
  const auto model = tiny_model();
  double first = 0;
  for (const int64_t batch : {1, 3, 8}) {
    TrainerSetup setup = tiny_setup(1);
    add_validation(setup, 8);
    setup.training.batch_size = batch;
    const double loss = Trainer(setup, *model).evaluate().loss();
    first = first == 0 ? loss : first;
    EXPECT_NEAR(loss, first, 1e-6);
  }
}

// Row B95: on rows of twice the length, as many tokens at a time.
TEST(Trainer, LongerRowsAreValidatedBesideTheOthers) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(2);
  setup.training.eval_steps = 1;
  setup.training.eval_length_factor = 2;
  add_validation(setup, 8);
  std::vector<int64_t> sizes;
  setup.long_validation = [&](int64_t first_row, int64_t count) {
    sizes.push_back(count);
    TrainingBatch pairs = tiny_batch(1'000'000 + 2 * first_row, 2 * count, false);
    pairs.input_ids = pairs.input_ids.view({count, 2 * kTinyLength});
    pairs.targets = pairs.targets.view({count, 2 * kTinyLength});
    return pairs;
  };
  setup.long_validation_rows = 5;
  std::vector<StepRecord> records;
  setup.on_record = [&](const StepRecord& record) { records.push_back(record); };
  const TrainingResult result = Trainer(setup, *model).train();
  EXPECT_EQ(sizes, (std::vector<int64_t>{2, 2, 1, 2, 2, 1}));
  ASSERT_EQ(records.size(), 2u);
  for (const StepRecord& record : records) {
    ASSERT_TRUE(record.long_validation);
    EXPECT_EQ(record.long_validation->tokens, 5 * 2 * kTinyLength);
    EXPECT_TRUE(std::isfinite(record.long_validation->perplexity()));
    EXPECT_NE(record.long_validation->loss(), record.validation->loss());
  }
  EXPECT_EQ(result.long_validation->loss(), records[1].long_validation->loss());
}

TEST(Trainer, EvalBatchesLimitsTheRowsLookedAt) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(1);
  add_validation(setup, 100);
  setup.training.eval_batches = 3;
  EXPECT_EQ(Trainer(setup, *model).evaluate().tokens, 3 * 4 * kTinyLength);
}

TEST(Trainer, APlantedExplosionRaisesTheAlert) {
  const GradientHealth calm = judge_gradients({{"a", 0.5}, {"b", 0.1}, {"c", 1.5}});
  EXPECT_TRUE(calm.exploding.empty());
  EXPECT_TRUE(calm.vanishing.empty());
  const GradientHealth planted = judge_gradients({{"a", 0.5}, {"b", 1e-9}, {"c", 4000}});
  EXPECT_EQ(planted.exploding, (std::vector<std::string>{"c"}));
  EXPECT_EQ(planted.vanishing, (std::vector<std::string>{"b"}));
  EXPECT_EQ(judge_gradients({{"a", std::nan("")}, {"b", 1}}).exploding,
            (std::vector<std::string>{"a"}));
}

TEST(Trainer, GradientNormsByLayerAddUpToTheGlobalNorm) {
  const Scratch run;
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(2, run.path);
  setup.metrics.gradient_norm_steps = 1;
  std::vector<StepRecord> records;
  setup.on_record = [&](const StepRecord& record) { records.push_back(record); };
  Trainer(setup, *model).train();
  ASSERT_EQ(records.size(), 2u);
  double squares = 0;
  for (const auto& [group, norm] : records[0].gradient_norms) {
    squares += norm * norm;
  }
  EXPECT_TRUE(records[0].gradient_norms.contains("layers.00"));
  EXPECT_TRUE(records[0].gradient_norms.contains("embed_tokens"));
  EXPECT_NEAR(std::sqrt(squares), records[0].grad_norm, 1e-6);
}

TEST(Trainer, RatesArePositiveAndSayTheSameThing) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(6);
  setup.metrics.logging_steps = 2;
  std::vector<StepRecord> records;
  setup.on_record = [&](const StepRecord& record) { records.push_back(record); };
  Trainer(setup, *model).train();
  ASSERT_EQ(records.size(), 4u);  // steps 1, 2, 4, 6
  for (const StepRecord& record : records) {
    // Steps of two micro-batches of four rows of eight targets.
    EXPECT_GT(record.step_ms, 0);
    EXPECT_NEAR(record.batches_per_second * record.step_ms, 2 * 1e3, 1e-6);
    EXPECT_NEAR(record.samples_per_second, 4 * record.batches_per_second,
                1e-9 * record.samples_per_second);
    EXPECT_NEAR(record.tokens_per_second, 8 * record.samples_per_second,
                1e-9 * record.tokens_per_second);
  }
}

TEST(Trainer, LogLinesInJsonHoldTheNumbers) {
  const auto model = tiny_model();
  TrainerSetup setup = tiny_setup(2);
  setup.training.eval_steps = 2;
  add_validation(setup);
  setup.metrics.logging_steps = 1;
  std::vector<StepRecord> records;
  setup.on_record = [&](const StepRecord& record) { records.push_back(record); };
  configure_log({"info", "json", false});
  testing::internal::CaptureStderr();
  Trainer(setup, *model).train();
  std::istringstream lines(testing::internal::GetCapturedStderr());
  configure_log({});
  std::vector<nlohmann::json> steps;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line);
    if (entry.contains("step")) steps.push_back(entry);
  }
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_FALSE(steps[0].contains("val_loss"));
  EXPECT_TRUE(steps[1]["message"].get<std::string>().starts_with("step 2/2 (100.0%) | loss "));
  std::set<std::string> keys = {"time", "level", "message"};
  for (const LogField& field : fields_of(records[1])) {
    keys.insert(std::string(field.key));
    std::visit([&](const auto& value) { EXPECT_EQ(steps[1][std::string(field.key)], value); },
               field.value);
  }
  EXPECT_EQ(keys, (std::set<std::string>{"time", "level", "message", "step", "epoch", "tokens",
                                         "loss", "lr", "grad_norm", "tokens_per_second", "step_ms",
                                         "mfu", "peak_memory_bytes", "skipped_steps",
                                         "samples_per_second", "batches_per_second", "val_loss",
                                         "val_perplexity", "val_accuracy"}));
  EXPECT_EQ(steps[1].size(), keys.size());
}

}  // namespace
}  // namespace llm
