#include "base/config.h"

#include <gtest/gtest.h>

#include "tests/base/sample_config.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

/// Two structs whose rows collide.
struct Colliding {
  int64_t a = 0, b = 0;
  void fields(Fields& f) {
    f("a", a, "A").flag("size");
    f("b", b, "B").flag("size");
  }
};

class Config : public testing::Test {
 protected:
  Config() { config_.fields(fields_); }
  SampleConfig config_;
  Fields fields_;
};

TEST_F(Config, FindsRowsByPathAndAlias) {
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->path(), "optimizer.learning_rate");
  EXPECT_EQ(fields_.find("optimizer.lr")->path(), "optimizer.learning_rate");
  EXPECT_EQ(fields_.find("model.d_model")->path(), "model.hidden_size");
  EXPECT_EQ(fields_.find("seed")->path(), "seed");
  EXPECT_EQ(fields_.find("optimizer.rate"), nullptr);
  EXPECT_EQ(fields_.find("lr"), nullptr);
}

TEST_F(Config, FindsFlagsInEverySpelling) {
  for (const char* name : {"learning-rate", "learning_rate", "lr", "optimizer.learning_rate",
                           "optimizer.learning-rate", "optimizer.lr"}) {
    ASSERT_NE(fields_.find_flag(name), nullptr) << name;
    EXPECT_EQ(fields_.find_flag(name)->path(), "optimizer.learning_rate") << name;
  }
  EXPECT_EQ(fields_.find_flag("rate"), nullptr);
}

TEST_F(Config, ShowOnlyTakesShortFlagsFromTheOtherSections) {
  fields_.show_only({"", "training"});
  EXPECT_EQ(fields_.find_flag("learning-rate"), nullptr);
  EXPECT_NE(fields_.find_flag("optimizer.learning_rate"), nullptr);
  EXPECT_NE(fields_.find_flag("max-steps"), nullptr);
  EXPECT_NE(fields_.find_flag("seed"), nullptr);
  fields_.show_also({"optimizer.learning_rate"});
  EXPECT_NE(fields_.find_flag("learning-rate"), nullptr);
}

TEST_F(Config, AddFlagNamesARowOfAHiddenSection) {
  fields_.show_only({""});
  fields_.add_flag("training.batch_size", "rows");
  EXPECT_EQ(fields_.find_flag("rows")->path(), "training.batch_size");
  EXPECT_EQ(fields_.find_flag("rows")->flag_name(), "--rows");
  EXPECT_EQ(fields_.find_flag("max-steps"), nullptr);
}

TEST_F(Config, OriginTellsWhereAValueCameFrom) {
  EXPECT_FALSE(fields_.is_set("optimizer.learning_rate"));
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->origin().text(), "default");
  fields_.override_default("optimizer.learning_rate", "0.25");
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->origin().text(), "command");
  fields_.apply_text("optimizer:\n  lr: 0.5\n", "run.yaml");
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->origin().text(), "run.yaml:2:3");
  fields_.apply_environment({{"LLM_LR", "0.125"}});
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->origin().text(), "environment LLM_LR");
  fields_.apply_flag("lr", "0.75");
  EXPECT_EQ(fields_.find("optimizer.learning_rate")->origin().text(), "--lr");
  EXPECT_EQ(config_.optimizer.learning_rate, 0.75);
}

TEST_F(Config, FlagIsStrongerThanEnvironmentThanFileThanDefault) {
  fields_.apply_text("{\"optimizer\": {\"lr\": 0.5, \"name\": \"lion\"}, \"seed\": 7}", "run.json");
  fields_.apply_environment({{"LLM_LEARNING_RATE", "0.25"}, {"LLM_SEED", "8"}});
  fields_.apply_flag("seed", "9");
  fields_.finish();
  EXPECT_EQ(config_.optimizer.name, "lion");
  EXPECT_EQ(config_.optimizer.learning_rate, 0.25);
  EXPECT_EQ(config_.seed, 9);
  EXPECT_EQ(config_.training.max_steps, 100);
}

TEST(ConfigDeclaration, TwoRowsWithOneFlagAreOurOwnMistake) {
  Colliding config;
  Fields fields;
  config.fields(fields);
  expect_error([&] { fields.find_flag("size"); }, Exit::internal,
               "config: --size means both a and b");
}

TEST(ConfigDeclaration, OneKeyTwiceIsOurOwnMistake) {
  SampleModel model;
  Fields fields;
  fields.section("model", model);
  expect_error([&] { fields.section("model", model); }, Exit::internal,
               "config: model.hidden_size is declared twice");
}

}  // namespace
}  // namespace llm
