#include <gtest/gtest.h>

#include "base/config.h"
#include "tests/base/sample_config.h"

namespace llm {
namespace {

class ConfigWriting : public testing::Test {
 protected:
  ConfigWriting() { config_.fields(fields_); }
  SampleConfig config_;
  Fields fields_;
};

TEST_F(ConfigWriting, YamlHasACommentPerKey) {
  EXPECT_EQ(fields_.to_yaml_with_comments(), R"(# Seed (at least -1)
seed: 42

# The model
model:
  # Width (1 to 65536)
  hidden_size: 64
  # Query heads (at least 1)
  num_attention_heads: 8
  # Key and value heads (at least 1)
  num_key_value_heads: null
  # Dropout (0 to 1)
  dropout: 0.0
  # One matrix for input and output
  tie_word_embeddings: false

# How weights are updated
optimizer:
  # Peak learning rate (0 to 1)
  learning_rate: 1.0e-05
  # Optimizer (adamw, lion)
  name: adamw
  # Decay of the moments (0 to 1)
  betas: [0.9, 0.95]
  # Added to the denominator (above 0)
  eps: 1.0e-08

# The run
training:
  # Optimizer steps (at least 0)
  max_steps: 100
  # Rows per step (1 to 1048576)
  batch_size: 8
  # Steps of rising learning rate (at least 0)
  warmup_steps: null
  # Several texts in one row
  packing: false
  # Where adapters go
  target_modules: [q_proj, v_proj]
  # Texts that end the reply
  stop: []
  # Nucleus (0 to 1)
  top_p: null
  # Whether to compile
  compile: null
  # Free text
  note: null
)");
}

TEST_F(ConfigWriting, JsonHoldsTheSameValues) {
  EXPECT_EQ(fields_.to_json_section("optimizer"), R"({
  "learning_rate": 1.0e-05,
  "name": "adamw",
  "betas": [0.9, 0.95],
  "eps": 1.0e-08
}
)");
  EXPECT_TRUE(fields_.to_json(-1).starts_with(R"({"seed":42,"model":{"hidden_size":64,)"))
      << fields_.to_json(-1);
}

TEST_F(ConfigWriting, SecretsAndPlainFlagsAreNeverWritten) {
  for (const std::string& text : {fields_.to_yaml(), fields_.to_json()}) {
    EXPECT_EQ(text.find("hidden\""), std::string::npos);
    EXPECT_EQ(text.find("api_key"), std::string::npos);
    EXPECT_EQ(text.find("output"), std::string::npos);
  }
  EXPECT_NE(fields_.print_config().find("api_key = ***"), std::string::npos);
}

/// load(save(x)) = x, with values that are hard to write.
void expect_round_trip(const std::string& name, std::string (*write)(const Fields&)) {
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  config.seed = 9007199254740993;
  config.optimizer.learning_rate = 0.1 + 0.2;
  config.optimizer.eps = 5e-324;
  config.training.stop = {
      "",    "a, b", "no", "1e3", "null", "~",   " x", "quote\" back\\ tab\t nl\n bell\a é 😀",
      "- a", "k: v", "#",  "@",   "true", "0x10"};
  config.training.note = "off";
  config.training.top_p = 1.0;
  config.training.compile = true;
  config.training.warmup_steps = 0;
  const std::string text = write(fields);

  SampleConfig back;
  Fields back_fields;
  back.fields(back_fields);
  back_fields.apply_text(text, name);
  back_fields.finish();
  EXPECT_EQ(back.seed, config.seed);
  EXPECT_EQ(back.optimizer.learning_rate, config.optimizer.learning_rate);
  EXPECT_EQ(back.optimizer.eps, config.optimizer.eps);
  EXPECT_EQ(back.training.stop, config.training.stop);
  EXPECT_EQ(back.training.note, config.training.note);
  EXPECT_EQ(back.training.top_p, config.training.top_p);
  EXPECT_EQ(back.training.compile, config.training.compile);
  EXPECT_EQ(back.training.warmup_steps, config.training.warmup_steps);
  EXPECT_EQ(write(back_fields), text);
}

TEST(ConfigRoundTrip, YamlReadsBackExactly) {
  expect_round_trip("c.yaml", [](const Fields& fields) { return fields.to_yaml_with_comments(); });
  expect_round_trip("c.yaml", [](const Fields& fields) { return fields.to_yaml(); });
}

TEST(ConfigRoundTrip, JsonReadsBackExactly) {
  expect_round_trip("c.json", [](const Fields& fields) { return fields.to_json(); });
  expect_round_trip("c.json", [](const Fields& fields) { return fields.to_json(-1); });
}

TEST_F(ConfigWriting, PrintConfigShowsOrigins) {
  fields_.apply_text("optimizer: {lr: 0.5}\n", "run.yaml");
  fields_.apply_flag("seed", "7");
  const std::string text = fields_.print_config();
  EXPECT_NE(text.find("seed = 7 "), std::string::npos) << text;
  EXPECT_NE(text.find("# --seed\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# run.yaml:1:13\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# default\n"), std::string::npos) << text;
}

TEST_F(ConfigWriting, HelpNamesFlagDefaultAndChoices) {
  fields_.show_only({"", "training", "optimizer"});
  const std::string help = fields_.help();
  for (const char* line :
       {"  --learning-rate X                   Peak learning rate (0 to 1; default 1.0e-05)\n",
        "  --optimizer-name TEXT               Optimizer (adamw, lion; default adamw)\n",
        "  --output FILE                       Where the result goes\n",
        "  --packing true|false                Several texts in one row (default false)\n",
        "  --top-p X                           Nucleus (0 to 1; default off)\n",
        "How weights are updated (optimizer):\n"}) {
    EXPECT_NE(help.find(line), std::string::npos) << line << "\nin\n" << help;
  }
  EXPECT_EQ(help.find("hidden_size"), std::string::npos);
  EXPECT_NE(help.find("Keys of the sections model can be given too"), std::string::npos);
}

TEST(PrintConfig, LeavesOutHiddenFlagsThatWereNotGiven) {
  bool hidden_flag = false, hidden_key = false;
  Fields fields;
  fields("test_hook", hidden_flag, "For tests").flag_only().hidden();
  fields("rare_key", hidden_key, "A key of files").hidden();
  EXPECT_EQ(fields.print_config(), "rare_key = false  # default\n");
  fields.apply_flag("test_hook", "true");
  EXPECT_EQ(fields.print_config(),
            "test_hook = true  # --test_hook\nrare_key = false  # default\n");
}

}  // namespace
}  // namespace llm
