// Config files, environment and flags: what is read, and the messages of docs/reliability.md 7.1
// and 7.2.
#include <gtest/gtest.h>

#include "base/config.h"
#include "tests/base/sample_config.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

SampleConfig read_text(const std::string& text, const std::string& name = "c.yaml") {
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  fields.apply_text(text, name);
  fields.finish();
  return config;
}

SampleConfig read_flag(const std::string& name, const std::vector<std::string>& values) {
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  fields.apply_flag(name, values);
  fields.finish();
  return config;
}

void refuse_text(const std::string& text, const std::string& message, const std::string& hint = "",
                 const std::string& name = "c.yaml") {
  SCOPED_TRACE(text.substr(0, 200));
  expect_error([&] { read_text(text, name); }, Exit::usage, message, hint);
}

void refuse_flag(const std::string& name, const std::vector<std::string>& values,
                 const std::string& message, const std::string& hint = "") {
  expect_error([&] { read_flag(name, values); }, Exit::usage, message, hint);
}

TEST(ConfigFile, SetsEveryKindOfValue) {
  const SampleConfig config = read_text(R"(
seed: -1
model:
  d_model: 128
  num_key_value_heads: null
  dropout: 0
  tie_word_embeddings: true
optimizer:
  lr: 3e-4
  name: lion
  betas: [0.8, 0.9]
training:
  max_steps: 10k
  warmup_steps: 20
  target_modules: [k_proj, "o_proj"]
  stop: []
  compile: false
  note: "true: 1"
)");
  EXPECT_EQ(config.seed, -1);
  EXPECT_EQ(config.model.hidden_size, 128);
  EXPECT_EQ(config.model.num_key_value_heads, std::nullopt);
  EXPECT_EQ(config.model.dropout, 0.0);
  EXPECT_TRUE(config.model.tie_word_embeddings);
  EXPECT_EQ(config.optimizer.learning_rate, 3e-4);
  EXPECT_EQ(config.optimizer.name, "lion");
  EXPECT_EQ(config.optimizer.betas, (std::vector<double>{0.8, 0.9}));
  EXPECT_EQ(config.training.max_steps, 10000);
  EXPECT_EQ(config.training.warmup_steps, 20);
  EXPECT_EQ(config.training.target_modules, (std::vector<std::string>{"k_proj", "o_proj"}));
  EXPECT_TRUE(config.training.stop.empty());
  EXPECT_EQ(config.training.compile, false);
  EXPECT_EQ(config.training.note, "true: 1");
}

TEST(ConfigFile, JsonSetsTheSameValues) {
  const SampleConfig config = read_text(R"({
  "seed": 5,
  "model": {"hidden_size": 256, "num_key_value_heads": 4, "tie_word_embeddings": true},
  "optimizer": {"betas": [0.1, 0.2]},
  "training": {"note": "tab\tand \u00e9 and \ud83d\ude00", "top_p": null}
})",
                                        "c.json");
  EXPECT_EQ(config.seed, 5);
  EXPECT_EQ(config.model.hidden_size, 256);
  EXPECT_EQ(config.model.num_key_value_heads, 4);
  EXPECT_EQ(config.optimizer.betas, (std::vector<double>{0.1, 0.2}));
  EXPECT_EQ(config.training.note, "tab\tand \xC3\xA9 and \xF0\x9F\x98\x80");
  EXPECT_EQ(config.training.top_p, std::nullopt);
}

TEST(ConfigFile, ModelKeysAtTheTopLevelAreTheModelSection) {
  const SampleConfig config = read_text(
      R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "n_heads": 4, "torch_dtype": "bfloat16"})",
      "config.json");
  EXPECT_EQ(config.model.hidden_size, 32);
  EXPECT_EQ(config.model.num_attention_heads, 4);
  EXPECT_EQ(read_text("seed: 3\n").seed, 3) << "a file of shared keys only is no model config";
}

TEST(ConfigFile, AnEmptySectionChangesNothing) {
  EXPECT_EQ(read_text("model:\n").model.hidden_size, 64);
}

TEST(ConfigFile, RefusesTheTwentyWrongFiles) {
  refuse_text("model:\n\thidden_size: 64\n", "c.yaml:2:1: tabs cannot indent YAML; use spaces");
  refuse_text("model:\n  hidden_size: twelve\n",
              "c.yaml:2:16: model.hidden_size: expected a whole number, got 'twelve'");
  refuse_text("model:\n  hiden_size: 64\n", "c.yaml:2:3: unknown key model.hiden_size",
              "did you mean hidden_size?");
  refuse_text("a: 1\nmodel:\n  hidden_size: 64\n  dropout: 0\n  hidden_size: 64\n",
              "c.yaml:5:3: model.hidden_size is set twice (first at line 3)");
  refuse_text("model:\n  hidden_size: 010\n",
              "c.yaml:2:16: model.hidden_size: leading zero is ambiguous; write 10 or 8");
  refuse_text("optimizer:\n  lr: .nan\n", "c.yaml:2:7: optimizer.learning_rate must be finite");
  refuse_text(
      "model:\n  hidden_size: 100\n  num_attention_heads: 7\n",
      "c.yaml:2:3: model.hidden_size (100) must be divisible by model.num_attention_heads (7)");
  refuse_text("", "c.yaml:1:1: config is empty");
  refuse_text("# nothing\n", "c.yaml:1:1: config is empty");
  refuse_text("---\n", "c.yaml:2:1: config is empty");
  refuse_text("- a\n- b\n", "c.yaml:1:1: top level must be a map of sections, found a list");
  refuse_text("hello\n", "c.yaml:1:1: top level must be a map of sections, found hello");
  refuse_text("seed: 1\n---\nseed: 2\n",
              "c.yaml:2:1: only one YAML document is allowed; second starts here");
  refuse_text("model: 5\n", "c.yaml:1:8: model: expected a section, got 5");
  expect_error_with([] { read_text("model: " + std::string(100000, '[')); }, Exit::usage,
                    ": nesting deeper than 64");
  refuse_text("model: " + std::string(100, '[') + std::string(100, ']'),
              "c.yaml:1:71: nesting deeper than 64");
  refuse_text(std::string((1 << 20) + 1, '#'), "c.yaml:1:1: config larger than 1 MiB");
  refuse_text(std::string("model: {}\n# \0", 13), "c.yaml:2:3: not text (NUL byte at offset 12)");
  refuse_text("model: {}\n# \xFF", "c.yaml:2:3: not text (invalid UTF-8 at byte 12)");
  refuse_text("model:\n  <<: {dropout: 0}\n", "c.yaml:2:3: YAML merge keys are not supported");
  refuse_text("seed: &a 1\nmodel:\n  <<: *a\n", "c.yaml:3:3: YAML merge keys are not supported");
}

TEST(ConfigFile, RefusesAnchorsTagsAndOddKeys) {
  refuse_text("model: &a {}\n",
              "c.yaml:1:8: YAML anchors are not supported; write the value again");
  refuse_text("seed: &a 1\nmodel:\n  dropout: *a\n",
              "c.yaml:3:12: YAML aliases are not supported; write the value again");
  refuse_text("seed: !!int 5\n", "c.yaml:1:7: YAML tags are not supported");
  refuse_text("? [a]\n: 1\n", "c.yaml:1:3: a key must be plain text");
}

TEST(ConfigFile, ACrossCheckPointsAtTheKeyThatTheFileSet) {
  refuse_text(
      "seed: 1\nmodel:\n  num_attention_heads: 7\n",
      "c.yaml:3:3: model.hidden_size (64) must be divisible by model.num_attention_heads (7)");
}

TEST(ConfigFile, RefusesValuesOfTheWrongKind) {
  refuse_text("model: {hidden_size: 1e3}\n",
              "c.yaml:1:22: model.hidden_size: expected a whole number, got '1e3'", "write 1000");
  refuse_text("model: {hidden_size: 1.5}\n",
              "c.yaml:1:22: model.hidden_size: expected a whole number, got '1.5'");
  refuse_text("model: {hidden_size: \"64\"}\n",
              "c.yaml:1:22: model.hidden_size: expected a whole number, got '64' in quotes");
  refuse_text("model: {hidden_size: [64]}\n",
              "c.yaml:1:22: model.hidden_size: expected a whole number, got a list");
  refuse_text("model: {hidden_size: {}}\n",
              "c.yaml:1:22: model.hidden_size: expected a whole number, got a section");
  refuse_text("model: {hidden_size: 0}\n",
              "c.yaml:1:22: model.hidden_size: '0' must be between 1 and 65536");
  refuse_text("model: {n_heads: 0}\n",
              "c.yaml:1:18: model.num_attention_heads: '0' must be at least 1");
  refuse_text("model: {hidden_size: 99999999999999999999}\n",
              "c.yaml:1:22: model.hidden_size: value is too large (max 9223372036854775807)");
  refuse_text("model: {tie_word_embeddings: yes}\n",
              "c.yaml:1:30: model.tie_word_embeddings: expected true or false, got 'yes'");
  refuse_text("optimizer: {lr: 30}\n",
              "c.yaml:1:17: optimizer.learning_rate: 30 is outside 0 to 1");
  refuse_text("optimizer: {lr: '1,5'}\n",
              "c.yaml:1:17: optimizer.learning_rate: expected a number, got '1,5'");
  refuse_text("optimizer: {eps: 0}\n", "c.yaml:1:18: optimizer.eps: 0 must be more than 0");
  refuse_text("optimizer: {name: lionn}\n",
              "c.yaml:1:19: optimizer.name: 'lionn' is not supported; choose adamw, lion",
              "did you mean 'lion'?");
  refuse_text("optimizer: {betas: 0.9}\n", "c.yaml:1:20: optimizer.betas: expected a list, got 0.9",
              "write [a, b]");
  refuse_text("optimizer: {betas: [0.9, 2]}\n",
              "c.yaml:1:26: optimizer.betas: 2 is outside 0 to 1");
  refuse_text("training: {target_modules: [\"\"]}\n",
              "c.yaml:1:29: training.target_modules: must not be empty");
  refuse_text("{\"training\": {\"note\": 5}}", "c.json:1:23: training.note: expected text, got 5",
              "", "c.json");
  refuse_text("{\"optimizer\": {\"name\": null}}",
              "c.json:1:24: optimizer.name: expected text, got nothing", "", "c.json");
}

TEST(ConfigFile, UnknownKeysNameTheNearestKnownOne) {
  refuse_text("modle: {}\n", "c.yaml:1:1: unknown key modle", "did you mean model?");
  refuse_text("learning_rate: 1\n", "c.yaml:1:1: unknown key learning_rate",
              "did you mean optimizer.learning_rate?");
  refuse_text("output: x\n", "c.yaml:1:1: unknown key output");
  refuse_text("zzz: 1\n", "c.yaml:1:1: unknown key zzz");
}

TEST(ConfigFile, AKeyAndItsAliasAreOneKey) {
  refuse_text("model:\n  hidden_size: 64\n  d_model: 64\n",
              "c.yaml:3:3: model.hidden_size is set twice (first at line 2)",
              "model.d_model is another name of model.hidden_size");
}

TEST(ConfigFile, JsonErrorsHavePositions) {
  const auto refuse_json = [](const std::string& text, const std::string& message) {
    refuse_text(text, message, "", "c.json");
  };
  refuse_json("{\"seed\": 1,\n}",
              "c.json:2:1: invalid JSON: a comma must be followed by another key");
  refuse_json("{\"seed\": 1", "c.json:1:11: invalid JSON: unexpected end");
  refuse_json("{\"seed\" 1}", "c.json:1:9: invalid JSON: expected ':'");
  refuse_json("{seed: 1}", "c.json:1:2: invalid JSON: expected a key in double quotes");
  refuse_json("{\"seed\": one}", "c.json:1:10: invalid JSON: 'one' needs double quotes");
  refuse_json("{\"seed\": 1} x",
              "c.json:1:13: invalid JSON: unexpected text after the closing bracket");
  refuse_json("{\"training\": {\"note\": \"a\nb\"}}",
              "c.json:1:25: invalid JSON: a text is not closed");
  refuse_json("{\"training\": {\"note\": \"\\x\"}}",
              "c.json:1:26: invalid JSON: unknown escape '\\x'");
  refuse_json("{\"seed\": 010}", "c.json:1:10: seed: leading zero is ambiguous; write 10 or 8");
  refuse_json("{\"optimizer\": {\"lr\": NaN}}",
              "c.json:1:22: optimizer.learning_rate must be finite");
  refuse_json("{\"model\": {\"hidden_size\": 1, \"hidden_size\": 2}}",
              "c.json:1:30: model.hidden_size is set twice (first at line 1)");
  refuse_json("[]", "c.json:1:1: top level must be a map of sections, found a list");
  refuse_json(std::string(200, '['), "c.json:1:65: nesting deeper than 64");
}

TEST(ConfigFile, MissingFilesAndFoldersAreNamed) {
  const TemporaryFolder folder;
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  expect_error([&] { fields.apply_file("nope.yaml"); }, Exit::usage,
               "cannot open config 'nope.yaml': No such file or directory");
  expect_error([&] { fields.apply_file(folder.path()); }, Exit::usage,
               "config '" + folder.path().string() + "' is a directory, expected a file");
  const auto large = folder.write("large.yaml", "");
  std::filesystem::resize_file(large, uint64_t{2} << 30);
  expect_error([&] { fields.apply_file(large); }, Exit::usage,
               large.string() + ":1:1: config larger than 1 MiB");
  fields.apply_file(folder.write("good", "\xEF\xBB\xBF{\"seed\": 6}"));
  EXPECT_EQ(config.seed, 6) << "without a suffix '{' means JSON, and a byte order mark is skipped";
}

TEST(ConfigFlag, SetsEveryKindOfValue) {
  EXPECT_EQ(read_flag("max_steps", {"32k"}).training.max_steps, 32000);
  EXPECT_EQ(read_flag("packing", {}).training.packing, true);
  EXPECT_EQ(read_flag("packing", {"false"}).training.packing, false);
  EXPECT_EQ(read_flag("target-modules", {"a,b", "c"}).training.target_modules,
            (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(read_flag("stop", {", ", "end"}).training.stop,
            (std::vector<std::string>{", ", "end"}));
  EXPECT_EQ(read_flag("optimizer.betas", {"0.5,0.6"}).optimizer.betas,
            (std::vector<double>{0.5, 0.6}));
  EXPECT_EQ(read_flag("top-p", {"0.5"}).training.top_p, 0.5);
  EXPECT_EQ(read_flag("top-p", {"off"}).training.top_p, std::nullopt);
  EXPECT_EQ(read_flag("warmup-steps", {"auto"}).training.warmup_steps, std::nullopt);
  EXPECT_EQ(read_flag("training.note", {"auto"}).training.note, "auto");
}

TEST(ConfigFlag, RefusesWrongValues) {
  refuse_flag("batch-size", {"-1"}, "--batch-size: '-1' must be between 1 and 1048576");
  refuse_flag("batch-size", {"1e3"}, "--batch-size: '1e3' is not a whole number", "write 1000");
  refuse_flag("max-steps", {"99999999999999999999"},
              "--max-steps: value is too large (max 9223372036854775807)");
  refuse_flag("lr", {"nan"}, "--lr: must be a finite number");
  refuse_flag("lr", {"1,5"}, "--lr: '1,5' is not a number", "use a point: 1.5");
  refuse_flag("lr", {"30"}, "--lr: 30 is outside 0 to 1");
  refuse_flag("lr", {}, "--lr needs a value");
  refuse_flag("optimizer-name", {"adam"},
              "--optimizer-name: 'adam' is not supported; choose adamw, lion",
              "did you mean 'adamw'?");
  refuse_flag("packing", {"yes"}, "--packing: 'yes' is not true or false");
  refuse_flag("batch-size", {"010"}, "--batch-size: leading zero is ambiguous; write 10 or 8");
  refuse_flag("max-stesp", {"5"}, "unknown option --max-stesp", "did you mean --max-steps?");
  refuse_flag("lr", {"1", "2"}, "--lr takes one value, got 2");
}

TEST(ConfigFlag, AnEmptyValueMustClearSomething) {
  refuse_flag("output", {""}, "--output: an empty value changes nothing; leave the flag out");
  SampleConfig config;
  config.output = "of the file";
  Fields fields;
  config.fields(fields);
  fields.apply_flag("output", std::vector<std::string>{""});
  EXPECT_EQ(config.output, "");
  EXPECT_EQ(read_flag("training.note", {""}).training.note, "") << "no text is not an empty text";
}

TEST(ConfigFlag, TwiceIsRefusedUnderAnyName) {
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  fields.apply_flag("max-steps", "5");
  expect_error([&] { fields.apply_flag("max-steps", "6"); }, Exit::usage,
               "--max-steps given twice (5, then 6)");
  expect_error([&] { fields.apply_flag("training.max_steps", "6"); }, Exit::usage,
               "--training.max_steps given twice (5, then 6)");
  fields.apply_flag("api-key", "a");
  expect_error([&] { fields.apply_flag("api-key", "b"); }, Exit::usage,
               "--api-key given twice (***, then ***)");
}

TEST(ConfigEnvironment, ReadsShortAndDottedNames) {
  SampleConfig config;
  Fields fields;
  config.fields(fields);
  fields.apply_environment({{"LLM_LEARNING_RATE", "0.5"},
                            {"LLM_MODEL_HIDDEN_SIZE", "128"},
                            {"LLM_SEED", ""},
                            {"LLM_OTHER", "x"}});
  EXPECT_EQ(config.optimizer.learning_rate, 0.5);
  EXPECT_EQ(config.model.hidden_size, 128);
  EXPECT_EQ(config.seed, 42) << "an empty variable is no value";
  fields.apply_environment({{"LLM_LR", "0.125"}, {"LLM_OPTIMIZER_LEARNING_RATE", "0.25"}});
  EXPECT_EQ(config.optimizer.learning_rate, 0.25) << "the more exact name wins";
  expect_error(
      [&] {
        fields.apply_environment({{"LLM_MAX_STEPS", "abc"}});
      },
      Exit::usage, "environment LLM_MAX_STEPS: 'abc' is not a whole number");
}

struct Needs {
  std::string train;
  std::vector<std::string> also;
  void fields(Fields& f) {
    f("train", train, "Training data").flag("data-path").required().must_exist({".index"});
    f("also", also, "More").must_exist();
  }
};

TEST(ConfigFinish, RequiredKeysAndMissingFilesAreNamed) {
  const auto with = [](const std::function<void(Fields&)>& sources,
                       Completeness completeness = Completeness::whole) {
    return [=] {
      Needs needs;
      SampleModel model;
      Fields fields;
      fields.section("data", needs);
      fields.section("model", model);
      sources(fields);
      fields.finish(completeness);
    };
  };
  const std::string here = std::filesystem::current_path().string();
  expect_error(with([](Fields&) {}), Exit::usage, "--data-path is required");
  expect_error(with([](Fields& f) { f.apply_text("data:\n  also: []\n", "c.yaml"); }), Exit::usage,
               "c.yaml:1:1: data.train is required");
  EXPECT_NO_THROW(with([](Fields&) {}, Completeness::partial)());
  expect_error(with([](Fields& f) { f.apply_text("data:\n  train: a.bin\n", "c.yaml"); }),
               Exit::usage,
               "c.yaml:2:3: data.train: 'a.bin' not found (looked in " + here + "/a.bin)");
  expect_error(with([](Fields& f) { f.apply_flag("data-path", "a.bin"); }), Exit::usage,
               "--data-path: 'a.bin' not found (looked in " + here + "/a.bin)");
  EXPECT_NO_THROW(with([](Fields& f) { f.apply_flag("data-path", "-"); })());
  const TemporaryFolder folder;
  folder.write("set.index", "");
  EXPECT_NO_THROW(with([&](Fields& f) { f.apply_flag("data-path", (folder / "set").string()); })());
}

}  // namespace
}  // namespace llm
