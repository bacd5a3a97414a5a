// Resumed = uninterrupted, bit for bit; what may change on resume and what may not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/file_io.h"
#include "base/sealed_file.h"
#include "tests/support/expect_error.h"
#include "tests/training/scratch.h"
#include "tests/training/tiny_run.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

void expect_same_bits(Transformer& a, Transformer& b, Trainer& x, Trainer& y,
                      const std::string& what) {
  EXPECT_TRUE(at::equal(a.flat_parameters(), b.flat_parameters())) << what;
  const auto left = x.optimizer().state();
  const auto right = y.optimizer().state();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(
        std::memcmp(left[i].tensor.data_ptr(), right[i].tensor.data_ptr(), left[i].tensor.nbytes()),
        0)
        << what << " " << left[i].name;
  }
  EXPECT_EQ(x.optimizer().updates, y.optimizer().updates);
}

/// Nine steps in one go against four, a checkpoint, and five more in a new trainer with a new
/// model.
void expect_exact_resume(const std::function<void(TrainerSetup&)>& change, at::ScalarType dtype,
                         const std::string& what) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(9, run.path);
  add_validation(setup);
  change(setup);
  const auto whole = tiny_model(0.1, dtype);
  Trainer uninterrupted(setup, *whole);
  std::vector<double> losses;
  while (uninterrupted.step() < 9) {
    losses.push_back(uninterrupted.training_step().loss);
  }
  const auto first = tiny_model(0.1, dtype);
  {
    Trainer trainer(setup, *first);
    while (trainer.step() < 4) {
      trainer.training_step();
    }
    trainer.save_checkpoint();
  }
  const auto second = tiny_model(0.1, dtype, /*seed=*/1234);  // its own weights must not matter
  Trainer resumed(setup, *second);
  resumed.resume(run.path / checkpoint_name(4));
  while (resumed.step() < 9) {
    const double expected = losses[static_cast<size_t>(resumed.step())];
    EXPECT_EQ(resumed.training_step().loss, expected) << what << " step " << resumed.step();
  }
  expect_same_bits(*whole, *second, uninterrupted, resumed, what);
}

TEST(Resume, EqualsTheUninterruptedRunUnderEveryOptimizerWithDropout) {
  for (const char* name : {"adamw", "lion", "sgd", "adafactor", "muon"}) {
    expect_exact_resume([&](TrainerSetup& setup) { setup.optimizer.name = name; }, at::kFloat,
                        name);
  }
}

TEST(Resume, EqualsTheUninterruptedRunInEveryPrecision) {
  for (const char* name : {"bf16-mixed", "bf16-true", "16-mixed"}) {
    expect_exact_resume([&](TrainerSetup& setup) { setup.training.precision = name; },
                        parse_precision(name, at::kCPU).parameters, name);
  }
}

TEST(Resume, EqualsTheUninterruptedRunUnderEverySchedule) {
  for (const char* name : {"linear", "polynomial", "constant", "wsd"}) {
    expect_exact_resume([&](TrainerSetup& setup) { setup.scheduler.name = name; }, at::kFloat,
                        name);
  }
}

const EncryptionKey kEncryptionKey(std::array<std::byte, EncryptionKey::kBytes>{});

TEST(Resume, EqualsTheUninterruptedRunThroughAnEncryptedCheckpoint) {
  expect_exact_resume([](TrainerSetup& setup) { setup.encryption_key = kEncryptionKey; },
                      at::kFloat, "encrypted");
}

TEST(Resume, NeedsTheKeyOfAnEncryptedCheckpointAndTakesAPlainOneWithAny) {
  const Scratch run;
  TrainerSetup plain = tiny_setup(9, run.path), sealed = plain;
  sealed.encryption_key = kEncryptionKey;
  const auto weights_of = [&](int64_t step) {
    return run.path / checkpoint_name(step) / "model.safetensors";
  };
  const auto model = tiny_model(0.1, at::kFloat);
  Trainer(plain, *model).save_checkpoint();
  Trainer trainer(sealed, *model);
  const std::vector<std::string> said = trainer.resume(run.path / checkpoint_name(0));
  EXPECT_EQ(said, std::vector<std::string>{
                      "encrypted from the next checkpoint on; those before it stay as they are"});
  trainer.training_step();
  trainer.save_checkpoint();
  EXPECT_FALSE(is_sealed(weights_of(0)));
  EXPECT_TRUE(is_sealed(weights_of(1)));
  EXPECT_TRUE(is_sealed(run.path / checkpoint_name(1) / "training_state/optimizer.safetensors"));
  EXPECT_TRUE(Trainer(sealed, *model).resume(run.path / checkpoint_name(1)).empty());
  expect_error(
      [&] { Trainer(plain, *model).resume(run.path / checkpoint_name(1)); }, Exit::bad_input,
      fmt::format("'{}' is encrypted: give --encryption-key-file", weights_of(1).string()));
  save_final(run.path, *model, {}, kEncryptionKey);
  EXPECT_TRUE(is_sealed(run.path / "final/model.safetensors"));
}

TEST(Resume, CarriesTheLossScaleAndTheSkippedSteps) {
  const auto poison = [](TrainerSetup& setup) {
    setup.training.precision = "16-mixed";
    setup.on_gradients = [](int64_t step, const at::Tensor& flat) {
      if (step == 2 || step == 6) {
        flat[0] = INFINITY;
      }
    };
  };
  expect_exact_resume(poison, at::kFloat, "overflow");
}

TEST(Resume, ContinuesBestAndEarlyStoppingWhereTheyStood) {
  // Nothing is learnt, so every validation after the first is without gain: 2, 4, 6, 8; a break
  // after 5 must not change that.
  for (const bool interrupted : {false, true}) {
    const Scratch run;
    TrainerSetup setup = tiny_setup(100, run.path);
    add_validation(setup);
    setup.training.eval_steps = 2;
    setup.training.early_stopping_patience = 3;
    setup.optimizer.learning_rate = 0;
    setup.checkpoint.save_steps = 1;
    if (interrupted) {
      const auto model = tiny_model();
      TrainerSetup part = setup;
      int64_t done = 0;
      part.on_step = [&](int64_t step) { done = step; };
      part.stop_requested = [&] { return done >= 5; };
      EXPECT_EQ(Trainer(part, *model).train().steps, 5);
    }
    const auto model = tiny_model();
    Trainer trainer(setup, *model);
    if (interrupted) {
      trainer.resume(run.path / checkpoint_name(5));
    }
    const TrainingResult result = trainer.train();
    EXPECT_EQ(result.reason, StopReason::early_stopping);
    EXPECT_EQ(result.steps, 8);
    EXPECT_EQ(result.best_step, 2);

    const auto again_model = tiny_model();
    Trainer again(setup, *again_model);
    again.resume(run.path / checkpoint_name(8));
    EXPECT_EQ(again.train().reason, StopReason::early_stopping);
    EXPECT_EQ(again.step(), 8) << "the same command does not train past its own stop";
    setup.training.early_stopping_patience = 4;
    const auto patient_model = tiny_model();
    Trainer patient(setup, *patient_model);
    patient.resume(run.path / checkpoint_name(8));
    EXPECT_EQ(patient.train().steps, 10) << "more patience goes on from there";
  }
}

TEST(Resume, MetricsReadAsIfThereHadBeenNoBreak) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(6, run.path);
  setup.metrics.logging_steps = 1;
  setup.checkpoint.save_steps = 3;
  const auto model = tiny_model();
  Trainer(setup, *model).train();
  const auto steps_of = [&](const char* name) {
    std::string steps;
    const std::string text = read_file(run.path / name);
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      const std::string line = text.substr(begin, end - begin);
      steps += line.starts_with("{\"step\":") ? line.substr(8, line.find(',') - 8)
                                              : line.substr(0, line.find(','));
      steps += ' ';
    }
    return steps;
  };
  OutputFile::append_to(run.path / "metrics.jsonl").write("{\"step\":7,\"epo");  // torn by a kill
  const auto again = tiny_model();
  setup.total_steps = 8;
  Trainer trainer(setup, *again);
  trainer.resume(run.path / checkpoint_name(3));
  trainer.train();
  EXPECT_EQ(steps_of("metrics.jsonl"), "1 2 3 4 5 6 7 8 ");
  EXPECT_EQ(steps_of("metrics.csv"), "step 1 2 3 4 5 6 7 8 ");
}

// Killed when the checkpoint was whole, at each point of what follows.
TEST(Resume, DoesWhatAProcessThatDiedInASaveDidNotComeTo) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(6, run.path);
  setup.training.eval_steps = 2;  // the losses fall: each is the best
  add_validation(setup);
  setup.checkpoint.keep_last = 0;
  const auto model = tiny_model();
  ASSERT_EQ(Trainer(setup, *model).train().best_step, 6);
  setup.total_steps = 8;
  setup.checkpoint.keep_last = 1;
  for (const char* link : {"latest", "best"}) point_to(run.path, link, checkpoint_name(4));
  Trainer(setup, *model).resume(run.path / checkpoint_name(6));
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), checkpoint_name(6));
  EXPECT_EQ(fs::read_symlink(run.path / "best"), checkpoint_name(6));
  EXPECT_EQ(checkpoint_steps(run.path), std::vector<int64_t>{6});
}

// What run.json says of a run that needs no more step.
TEST(Resume, KeepsTheLastLosses) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(2, run.path);
  add_validation(setup);
  setup.training.eval_length_factor = 2;
  setup.long_validation = setup.validation;  // how long its rows are is not looked at here
  setup.long_validation_rows = 4;
  setup.may_be_complete = true;
  const auto model = tiny_model();
  const TrainingResult ended = Trainer(setup, *model).train();
  const auto again = [&](int64_t factor) {
    setup.training.eval_length_factor = factor;
    Trainer trainer(setup, *model);
    trainer.resume(run.path / checkpoint_name(2));
    return trainer.train();
  };
  const TrainingResult result = again(2);
  EXPECT_EQ(result.loss, ended.loss);
  EXPECT_EQ(result.validation->nll, ended.validation->nll);
  EXPECT_EQ(result.long_validation->nll, ended.long_validation->nll);
  EXPECT_FALSE(again(3).long_validation) << "of rows of another length";
}

// Reliability T13: the same stream of rows under another split, also where the size of a step
// changes in mid-run.
TEST(Resume, AnotherBatchSizeContinuesTheStreamOfRows) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(4, run.path);
  std::vector<int64_t> asked;
  const auto recording = [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      asked.push_back(row);
    }
    return tiny_batch(first, count, false);
  };
  setup.batches = recording;
  const auto model = tiny_model();
  Trainer(setup, *model).train();
  setup.training.batch_size = 3;
  setup.training.gradient_accumulation_steps = 1;
  setup.total_steps = 7;
  const auto again = tiny_model();
  Trainer trainer(setup, *again);
  const auto changes = trainer.resume(run.path / checkpoint_name(4));
  trainer.train();
  std::vector<int64_t> expected(4 * 8 + 3 * 3);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = static_cast<int64_t>(i);
  }
  EXPECT_EQ(asked, expected);
  EXPECT_NE(std::find(changes.begin(), changes.end(), "training.batch_size changed from 4 to 3"),
            changes.end());
}

/// A checkpoint at step 3 of 3, and the message that resuming under `change` gives.
std::string refusal(
    const std::function<void(TrainerSetup&)>& change,
    const std::function<std::unique_ptr<Transformer>()>& make = [] { return tiny_model(); }) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(3, run.path);
  setup.identity = {"aaaa", "bbbb", "cccc", ""};
  const auto model = tiny_model();
  Trainer(setup, *model).train();
  setup.total_steps = 6;
  change(setup);
  const auto other = make();
  Trainer trainer(setup, *other);
  try {
    trainer.resume(run.path / checkpoint_name(3));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    return error.message();
  }
  return "accepted";
}

TEST(Resume, AllowsWhatDoesNotChangeTheMeaningOfTheState) {
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.optimizer.learning_rate = 0.5; }), "accepted");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.scheduler.name = "linear"; }), "accepted");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.metrics.logging_steps = 1; }), "accepted");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.training.precision = "bf16-mixed"; }), "accepted");
  EXPECT_EQ(refusal([](TrainerSetup&) {}, [] { return tiny_model(0.3); }), "accepted");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.identity.config_sha256 = "dddd"; }), "accepted");
}

TEST(Resume, RefusesByNameWhatDoes) {
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.optimizer.name = "lion"; }),
            "optimizer state is adamw, config asks lion");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.identity.tokenizer_sha256 = "eeee"; }),
            "checkpoint tokenizer sha256 aaaa…, given eeee…");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.identity.data_sha256 = "eeee"; }),
            "data 'train' changed since step 3 (sha256 bbbb…, now eeee…)");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.seed = 8; }),
            "seed is 7 in the checkpoint, 8 in the config: the data order would change");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.total_steps = 3; }), "already at step 3 of 3");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.training.max_seq_length = 4; }),
            "training.max_seq_length is auto in the checkpoint, 4 in the config");
  EXPECT_EQ(refusal([](TrainerSetup&) {},
                    [] {
                      ModelConfig config = tiny_model_config();
                      config.num_hidden_layers = 3;
                      auto model = std::make_unique<Transformer>(config, at::kFloat);
                      initialize(*model, 3);
                      return model;
                    }),
            "model.num_hidden_layers is 2 in the checkpoint, 3 in the config");
  EXPECT_EQ(refusal([](TrainerSetup& s) { s.training.precision = "bf16-true"; },
                    [] { return tiny_model(0, at::kBFloat16); }),
            "training.precision is 32-true in the checkpoint, bf16-true in the config");
}

TEST(Resume, FlagsGiveUpTheOptimizerOrTheDataPosition) {
  EXPECT_EQ(refusal([](TrainerSetup& s) {
              s.optimizer.name = "lion";
              s.checkpoint.reset_optimizer = true;
            }),
            "accepted");
  EXPECT_EQ(refusal([](TrainerSetup& s) {
              s.identity.data_sha256 = "eeee";
              s.checkpoint.allow_data_change = true;
            }),
            "accepted");
}

/// The best step after three steps with validation and three more under `change`.
int64_t best_step_after(const std::function<void(TrainerSetup&)>& change) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(3, run.path);
  add_validation(setup);
  setup.training.eval_steps = 3;
  setup.identity = {"aaaa", "bbbb", "cccc", "dddd"};
  const auto model = tiny_model();
  EXPECT_EQ(Trainer(setup, *model).train().best_step, 3);
  setup.total_steps = 6;
  setup.optimizer.learning_rate = 1;  // whatever comes is worse
  change(setup);
  const auto other = tiny_model();
  Trainer trainer(setup, *other);
  trainer.resume(run.path / checkpoint_name(3));
  return trainer.train().best_step;
}

TEST(Resume, WhatIsBestIsAskedAnewWhereValidationIsOnOtherData) {
  EXPECT_EQ(best_step_after([](TrainerSetup&) {}), 3);
  EXPECT_EQ(best_step_after([](TrainerSetup& s) { s.training.batch_size = 8; }), 3);
  EXPECT_EQ(best_step_after([](TrainerSetup& s) { s.training.eval_batches = 2; }), 3)
      << "two batches of four are all eight rows";
  EXPECT_EQ(best_step_after([](TrainerSetup& s) { s.training.eval_batches = 1; }), 6);
  EXPECT_EQ(best_step_after([](TrainerSetup& s) { s.identity.validation_sha256 = "eeee"; }), 6);
}

TEST(Resume, OtherKernelsAreNamedAndTheSameAreNot) {
  TrainingState saved, wanted;
  saved.kernels = "avx512";
  wanted.kernels = "avx2";
  EXPECT_EQ(compare_kernels(saved, wanted, "step-00000400"),
            "step-00000400 was written with kernels avx512, this process uses avx2: the run goes "
            "on, but equal only to rounding");
  wanted.kernels = "avx512";
  EXPECT_EQ(compare_kernels(saved, wanted, "step-00000400"), "");
  saved.kernels = "";  // of a checkpoint that is older than the record
  EXPECT_EQ(compare_kernels(saved, wanted, "step-00000400"), "");
}

TEST(Resume, ACheckpointRecordsItsKernels) {
  const Scratch run;
  const auto model = tiny_model();
  Trainer(tiny_setup(3, run.path), *model).train();
  EXPECT_EQ(read_training_state(run.path / checkpoint_name(3)).kernels, training_kernels(at::kCPU));
}

TEST(Resume, NanInTheWeightsOfACheckpointIsNamed) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(3, run.path);
  const auto model = tiny_model();
  Trainer(setup, *model).train();
  const fs::path file = run.path / checkpoint_name(3) / "model.safetensors";
  std::string bytes = read_file(file);
  const uint32_t nan = 0x7fc00000;
  std::memcpy(bytes.data() + bytes.size() - 4, &nan, 4);
  OutputFile::create(file).write(bytes);
  setup.total_steps = 6;
  Trainer trainer(setup, *model);
  try {
    trainer.resume(run.path / checkpoint_name(3));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    EXPECT_NE(error.message().find("contains 1 NaN value"), std::string::npos) << error.message();
  }
}

TEST(Resume, StateSurvivesTheRoundTripThroughItsFile) {
  const Scratch scratch;
  fs::create_directories(scratch.path / "training_state");
  TrainingState state;
  state.step = 41;
  state.row = 328;
  state.epoch = 0.1 + 0.2;
  state.tokens = 12345678901;
  state.skipped_steps = 3;
  state.skipped_in_a_row = 1;
  state.optimizer_name = "muon";
  state.optimizer_updates = 38;
  state.scale = {true, 1024, 7, 2000};
  state.seed = 9007199254740991;
  state.best = BestValidation{40, 1.0 / 3};
  state.early_stopping_reference = 0.1;
  state.evaluations_without_gain = 2;
  state.last_loss = 2.0 / 3;
  state.last_validation = LossTotals{17.25, 12, 3, 40};
  state.last_long_validation = LossTotals{18.5, 13, 4, 41};
  state.identity = {"a", "b", "c", "d"};
  state.validated = "e";
  state.precision = "16-mixed";
  state.kernels = "avx512";
  state.settings = {{"training.batch_size", "4"}};
  write_training_state(scratch.path, state);
  const TrainingState read = read_training_state(scratch.path);
  EXPECT_EQ(read.step, 41);
  EXPECT_EQ(read.row, 328);
  EXPECT_EQ(read.epoch, state.epoch);
  EXPECT_EQ(read.tokens, state.tokens);
  EXPECT_EQ(read.skipped_in_a_row, 1);
  EXPECT_EQ(read.optimizer_updates, 38);
  EXPECT_EQ(read.scale.value, 1024);
  EXPECT_EQ(read.scale.good_steps, 7);
  EXPECT_EQ(read.seed, state.seed);
  EXPECT_EQ(read.best->loss, 1.0 / 3);
  EXPECT_EQ(read.identity.validation_sha256, "d");
  EXPECT_EQ(read.validated, "e");
  EXPECT_EQ(read.early_stopping_reference, 0.1);
  EXPECT_EQ(read.last_loss, 2.0 / 3);
  EXPECT_EQ(read.last_validation->nll, 17.25);
  EXPECT_EQ(read.last_long_validation->nll, 18.5);
  EXPECT_EQ(read.kernels, "avx512");
  EXPECT_EQ(read.settings, state.settings);
}

}  // namespace
}  // namespace llm
