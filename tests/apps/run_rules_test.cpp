#include "apps/run_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "apps/run_config.h"
#include "apps/run_presets.h"
#include "model/model_presets.h"
#include "tests/apps/run_claims.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

/// A run config as pretrain reads it: a file, then flags.
struct Given {
  RunConfig config = pretrain_defaults();
  Fields fields;
  Given() { config.fields(fields); }
  explicit Given(RunConfig defaults) : config(std::move(defaults)) { config.fields(fields); }
  Given& flags(const Flags& flags) {
    for (const auto& [name, value] : flags) fields.apply_flag(name, value);
    return *this;
  }
  Given& file(const std::string& text) {
    fields.apply_text(text, "run.yaml");
    return *this;
  }
  void finish() { fields.finish(); }
};

/// In a folder with text, a dataset without a validation part, and one with it.
class RunRules : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a.txt", "bare.index", "both-train.index", "both-val.index",
                             "chats.index", "chats.jinja"}) {
      files_.write(name, "");
    }
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(files_.path());
  }
  void TearDown() override { std::filesystem::current_path(before_); }

 private:
  TemporaryFolder files_;
  std::filesystem::path before_;
};

/// What finish() says of a key that a flag set; "" where it says nothing.
std::string said_of(const Claim& claim, const Flags& others) {
  try {
    Given().flags(others).flags({{claim.key, claim.value}}).finish();
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    return error.message() + "\n" + error.hint();
  }
}

TEST_F(RunRules, AKeyWithoutEffectIsRefusedAndOneWithEffectIsNot) {
  for (const Claim& claim : claims()) {
    Given shown;
    shown.fields.apply_flag(claim.key, claim.value);
    EXPECT_EQ(said_of(claim, claim.idle),
              fmt::format("{} ({}) has no effect {}\n{}; leave it out", claim.key,
                          shown.fields.find(claim.key)->text(), claim.why, claim.hint));
    EXPECT_EQ(said_of(claim, claim.heard), "") << claim.key << " " << claim.value;
  }
}

TEST_F(RunRules, EveryRuleIsClaimed) {
  const std::vector<Claim> all = claims();
  for (const RunRule& rule : run_rules()) {
    for (const std::string& key : rule.keys) {
      const bool claimed = std::any_of(all.begin(), all.end(), [&](const Claim& claim) {
        Given given;
        given.flags(claim.idle);
        return claim.key == key && claim.hint == rule.hint && rule.is_idle(given.config);
      });
      EXPECT_TRUE(claimed) << key << ": " << rule.hint;
    }
  }
}

// Keys that change something beside every value of the others.
const std::set<std::string> kAlwaysHeard = {"device",
                                            "threads",
                                            "seed",
                                            "encryption_key_file",
                                            "tokenizer.path",
                                            "data.path",
                                            "data.shuffle",
                                            "data.workers",
                                            "training.objective",
                                            "training.rows",
                                            "training.batch_size",
                                            "training.gradient_accumulation_steps",
                                            "training.max_seq_length",
                                            "training.max_steps",
                                            "training.precision",
                                            "training.max_grad_norm",
                                            "training.max_skipped_steps",
                                            "optimizer.name",
                                            "optimizer.learning_rate",
                                            "optimizer.weight_decay",
                                            "scheduler.name",
                                            "scheduler.warmup_steps",
                                            "checkpoint.output_dir",
                                            "checkpoint.save_steps",
                                            "checkpoint.save_epochs",
                                            "checkpoint.keep_last",
                                            "checkpoint.resume_from_checkpoint",
                                            "checkpoint.model_path",
                                            "logging.level",
                                            "logging.format",
                                            "logging.quiet",
                                            "logging.logging_steps",
                                            "logging.gradient_norm_steps",
                                            "logging.csv",
                                            "logging.tensorboard"};
// Sections with rules of their own: of the model, of the one process; generation's keys are written
// into the model's generation_config.json.
bool has_own_rules(const std::string& key) {
  return key.starts_with("model.") || key.starts_with("generation.") ||
         key.starts_with("distributed.");
}

TEST_F(RunRules, EveryKeyIsAlwaysHeardOrHasARule) {
  std::set<std::string> ruled;
  for (const RunRule& rule : run_rules()) ruled.insert(rule.keys.begin(), rule.keys.end());
  const Given given;
  for (const Field& row : given.fields.rows()) {
    const std::string& key = row.path();
    if (!has_own_rules(key)) {
      EXPECT_NE(kAlwaysHeard.contains(key), ruled.contains(key)) << key;
    }
  }
}

TEST_F(RunRules, AValueOfAFileIsRefusedWhereItStands) {
  expect_error([] { Given().file("optimizer:\n  name: sgd\n  betas: [0.8, 0.9]\n").finish(); },
               Exit::usage,
               "run.yaml:3:3: optimizer.betas (0.8,0.9) has no effect with optimizer.name sgd",
               "adamw, lion and muon read it; leave it out");
}

TEST_F(RunRules, AStrongerSourceSetsTheValueOfAFileAside) {
  Given given;
  given.file("optimizer: {name: muon, betas: [0.8, 0.9], muon_iterations: 3}\n");
  given.flags({{"optimizer-name", "sgd"}}).finish();
  EXPECT_EQ(given.config.optimizer.betas, (std::vector<double>{0.9, 0.95}));
  EXPECT_EQ(given.config.optimizer.muon_iterations, 5);
  EXPECT_EQ(given.config.set_aside,
            (std::vector<std::string>{
                "optimizer.betas (0.8,0.9) of run.yaml:1:25 has no effect with optimizer.name "
                "sgd: it is left out",
                "optimizer.muon_iterations (3) of run.yaml:1:44 has no effect with optimizer.name "
                "sgd: it is left out"}));
}

TEST_F(RunRules, AnEnvironmentSaysNoMoreThanItsRank) {
  Given given;
  given.fields.apply_environment({{"LLM_OPTIMIZER_MOMENTUM", "0.5"}});
  expect_error([&] { given.finish(); }, Exit::usage,
               "optimizer.momentum (0.5) has no effect with optimizer.name adamw",
               "sgd reads it; leave it out");
  given.flags({{"optimizer-name", "lion"}}).finish();
  EXPECT_EQ(given.config.optimizer.momentum, 0.9);
}

TEST_F(RunRules, UsualValuesOfEveryVerbAskForNothing) {
  for (RunConfig config : {pretrain_defaults(), finetune_defaults(), RunConfig()}) {
    Fields fields;
    config.sections(fields);
    for (const RunConfig& reader : {pretrain_defaults(), finetune_defaults()}) {
      Given given(reader);
      EXPECT_NO_THROW(given.file(fields.to_yaml()).finish());
      EXPECT_EQ(given.config.set_aside, std::vector<std::string>());
    }
  }
}

TEST_F(RunRules, OfAnotherVerbsDefaultsOnlyAFileMayHold) {
  Given().file("training: {epochs: 3, max_steps: 5}\n").finish();
  expect_error(
      [] {
        Given().flags({{"epochs", "3"}, {"max-steps", "5"}}).finish();
      },
      Exit::usage, "training.epochs (3) has no effect with training.max_steps 5",
      "--max-steps auto lets the epochs decide; leave it out");
}

TEST_F(RunRules, AFileMayHoldWhatARunChoseForItself) {
  Given given;
  given.file("data: {path: [bare], add_bos: true, chat_template: run/data/chat_template.jinja}\n");
  EXPECT_NO_THROW(given.finish());
  EXPECT_FALSE(given.config.data.text.add_bos);
  EXPECT_EQ(given.config.data.text.chat_template, "");
}

TEST_F(RunRules, ADatasetsOwnTemplateIsComparedWithTheNamedOne) {
  Given given;
  given.flags({{"data-path", "chats"}, {"chat-template", "t.jinja"}}).finish();
  EXPECT_EQ(given.config.data.text.chat_template, "t.jinja");
}

TEST_F(RunRules, AFileMayWaitForItsData) {
  Given given;
  given.file("data: {split: document, val_split: tail, format: text}\n").finish();
  EXPECT_EQ(given.config.data.text.split, "line");
  EXPECT_EQ(given.config.set_aside.size(), 3u);
  Given named;
  named.file("data: {split: document, val_split: tail, format: text}\n");
  named.flags({{"data-path", "a.txt"}}).finish();
  EXPECT_EQ(named.config.data.text.split, "document");
  EXPECT_EQ(named.config.set_aside, std::vector<std::string>());
  RunConfig later = pretrain_defaults();
  later.for_later = true;
  Given written(later);
  written.flags({{"split", "document"}}).finish();
  EXPECT_EQ(written.config.data.text.split, "document");
}

TEST_F(RunRules, AChangedPresetIsWrittenWithoutWhatTheChangeLeavesIdle) {
  RunConfig preset = run_preset("mini");
  preset.for_later = true;
  Given given(preset);
  given.flags({{"optimizer-name", "sgd"}, {"data-path", "a.txt"}}).finish();
  EXPECT_EQ(given.config.optimizer.betas, (std::vector<double>{0.9, 0.95}));
  EXPECT_EQ(given.config.data.synthetic_stories, 20000);
  EXPECT_NO_THROW(Given().file(given.fields.to_yaml()).finish());
}

TEST_F(RunRules, EveryPresetGoesWithEveryChoice) {
  std::vector<Flags> choices = {{},
                                {{"max-steps", "auto"}},
                                {{"objective", "mlm"}},
                                {{"objective", "diffusion"}},
                                {{"data-path", "a.txt"}},
                                {{"data-path", "bare"}},
                                {{"data-path", "both-train"}},
                                {{"val-fraction", "0"}},
                                {{"tokenizer-path", "t.model"}},
                                {{"model-path", "m"}},
                                {{"rows", "packed"}},
                                {{"use-lmsys-dataset", "true"}}};
  for (const char* name : kOptimizers) choices.push_back({{"optimizer-name", name}});
  for (const char* name : kSchedules) choices.push_back({{"lr-scheduler", name}});
  for (const std::string& preset : model_preset_names()) {
    RunConfig run = run_preset(preset);
    Fields rows;
    run.sections(rows);
    for (const Flags& flags : choices) {
      Given given;
      EXPECT_NO_THROW(given.file(rows.to_yaml()).flags(flags).finish()) << preset;
      // What the run then writes says the same and is accepted.
      Given again;
      EXPECT_NO_THROW(again.file(given.fields.to_yaml()).finish()) << preset;
      EXPECT_EQ(again.config.set_aside, std::vector<std::string>());
      EXPECT_EQ(again.fields.to_yaml(), given.fields.to_yaml());
    }
  }
}

}  // namespace
}  // namespace llm
