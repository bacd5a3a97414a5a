// Every key of a run config, as pretrain reads it, changes what a run computes or leaves behind, or
// is among the few that are about something else. One small run per key, beside the run without it.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/run_config.h"
#include "apps/training_run.h"
#include "base/error.h"
#include "base/file_io.h"
#include "training/checkpoint.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

using Flags = std::map<std::string, std::string>;    // full path of a key: its value
using Outcome = std::map<std::string, std::string>;  // file of the run directory: its bytes

const char* const kWeights = "final/model.safetensors";
const char* const kNumbers = "metrics.jsonl";
const char* const kRefused = "(refused)";
const char* const kCheckpoints = "(checkpoints)";

/// Texts, chats and tokenizers, in memory; the work folder while the tests run.
struct Corpus {
  fs::path path;
  Corpus() {
    std::string name = "/dev/shm/llm-each-key-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      name = (fs::temp_directory_path() / "llm-each-key-XXXXXX").string();
      mkdtemp(name.data());
    }
    path = name;
    std::string lines, rows, chats, rare;
    for (int i = 0; i < 60; ++i) {
      const std::string line =
          fmt::format("Line {}: cat {} looked at {} birds.", i, i * 7 % 50, i * 13 % 17);
      lines += line + (i % 3 == 2 ? "\n\n" : "\n");
      rows += fmt::format(R"({{"text": "{}", "other": "No birds, {}.")", line, i) +
              R"(, "conversation": [{"role": "user", "content": "a"}, )"
              R"({"role": "assistant", "content": "a bird sings"}]})"
              "\n";
      chats += fmt::format(R"({{"messages": [{{"role": "user", "content": "{}"}}, )"
                           R"({{"role": "assistant", "content": "birds"}}]}})"
                           "\n",
                           line);
      rare += line + (i == 30 ? " \u00e9\u00df\u4e16\u754c" : "") + "\n";
    }
    write("text.txt", lines);
    write("other.txt", lines.substr(lines.size() / 2));
    write("rows.jsonl", rows);
    write("bad.jsonl", rows + "{\n");
    write("chats.jsonl", chats);
    write("rare.txt", rare);
    write("latin.txt", lines + "caf\xe9\n");
    write("mine.jinja", "{% for m in messages %}<{{ m.content }}>{% endfor %}");
    fs::current_path(path);
  }
  ~Corpus() {
    std::error_code ignored;
    fs::current_path("/", ignored);
    fs::remove_all(path, ignored);
  }
  void write(const std::string& name, const std::string& text) const {
    OutputFile::create(path / name).write(text);
  }
};

const Flags kSmall = {{"seed", "1"},
                      {"model.hidden_size", "16"},
                      {"model.num_hidden_layers", "2"},
                      {"model.num_attention_heads", "2"},
                      {"model.intermediate_size", "32"},
                      {"model.max_position_embeddings", "16"},
                      {"tokenizer.path", "words.model"},
                      {"data.synthetic_stories", "30"},
                      {"data.val_fraction", "0.2"},
                      {"data.workers", "0"},
                      {"training.batch_size", "2"},
                      {"training.gradient_accumulation_steps", "1"},
                      {"training.max_steps", "4"},
                      {"training.eval_steps", "4"},
                      {"training.eval_batches", "2"},
                      {"training.precision", "32-true"},
                      {"optimizer.learning_rate", "0.01"},
                      {"scheduler.warmup_steps", "1"},
                      {"checkpoint.save_steps", "0"},
                      {"logging.gradient_norm_steps", "0"},
                      {"logging.quiet", "true"},
                      {"logging.tensorboard", "false"}};

Flags joined(Flags strong, const Flags& weak) {
  strong.insert(weak.begin(), weak.end());
  return strong;
}

/// metrics.jsonl without what a clock measures.
std::string numbers_of(const std::string& rows) {
  std::istringstream lines(rows);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::ordered_json row = nlohmann::ordered_json::parse(line);
    for (const char* key : {"tokens_per_second", "step_ms", "mfu", "peak_memory_bytes",
                            "samples_per_second", "batches_per_second"}) {
      row.erase(key);
    }
    out += row.dump() + "\n";
  }
  return out;
}

/// What a run leaves behind, but for what only says how it was asked for.
Outcome run_with(Flags flags, const std::string& directory = "run") {
  RunConfig config = pretrain_defaults();
  Fields fields;
  config.fields(fields);
  const std::string model_rows = flags.contains("checkpoint.model_path") ? "model." : "";
  flags = joined(flags, kSmall);
  for (const auto& [key, value] : flags) {
    const bool of_the_start = !model_rows.empty() && key.starts_with(model_rows);
    if (!of_the_start && value != "(unset)") fields.apply_flag(key, value);
  }
  fields.apply_flag("checkpoint.output_dir", directory);
  fs::remove_all(directory);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  try {
    fields.finish();
    configure_log(config.logging.log);
    run_training(config, fields, {.next = "{}", .on_step = {}});
  } catch (const Error& error) {
    outcome[kRefused] = error.message();
  }
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  detach_log_file();
  if (outcome.contains(kRefused)) {
    return outcome;
  }
  for (const int64_t step : checkpoint_steps(directory)) {
    outcome[kCheckpoints] += checkpoint_name(step) + " ";
  }
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    std::string name = fs::relative(entry.path(), directory).string();
    if (!entry.is_regular_file()) continue;
    const bool about_the_run = name == "config.yaml" || name == "run.json" ||
                               name.starts_with("training.log") || name == "run.lock" ||
                               name.find("training_state") != std::string::npos ||
                               name.ends_with("manifest.json") || name == "data/prepared.json";
    if (about_the_run) continue;
    if (name.starts_with("events.")) name = "events";
    const std::string bytes = read_file(entry.path());
    outcome[name] = name == kNumbers                            ? numbers_of(bytes)
                    : name == "metrics.csv" || name == "events" ? ""
                                                                : bytes;
  }
  return outcome;
}

std::string refusal_of(const Outcome& outcome) {
  const auto message = outcome.find(kRefused);
  return message == outcome.end() ? "" : message->second;
}

struct Row {
  std::string key, value;
  const char* changes = kWeights;  // this file, or whether the run is refused
  Flags beside = {};
};

std::vector<Row> optimizer_table() {
  const Flags sgd = {{"optimizer.name", "sgd"}}, muon = {{"optimizer.name", "muon"}},
              adafactor = {{"optimizer.name", "adafactor"}};
  return {{"optimizer.name", "lion"},
          {"optimizer.learning_rate", "0.02"},
          {"optimizer.weight_decay", "0.5"},
          {"optimizer.decay_embeddings", "false"},
          {"optimizer.betas", "0.8,0.9"},
          {"optimizer.epsilon", "0.1"},
          {"optimizer.momentum", "0.5", kWeights, sgd},
          {"optimizer.nesterov", "true", kWeights, sgd},
          {"optimizer.muon_momentum", "0.5", kWeights, muon},
          {"optimizer.muon_iterations", "2", kWeights, muon},
          {"optimizer.adafactor_decay_rate", "0.5", kWeights, adafactor},
          {"optimizer.adafactor_clip_threshold", "0.1", kWeights, adafactor},
          {"scheduler.name", "wsd"},
          {"scheduler.warmup_steps", "3"},
          {"scheduler.min_lr_ratio", "0.5"},
          {"scheduler.power", "3", kWeights, {{"scheduler.name", "polynomial"}}},
          {"scheduler.decay_fraction", "0.8", kWeights, {{"scheduler.name", "wsd"}}}};
}

std::vector<Row> training_table() {
  const Flags few = {{"training.max_steps", "(unset)"},
                     {"data.synthetic_stories", "4"},
                     {"training.batch_size", "8"}};
  return {{"seed", "2"},
          {"dtype", "bfloat16", kWeights, {{"dtype", "float32"}, {"training.precision", "auto"}}},
          {"training.objective", "mlm"},
          {"training.rows", "documents"},
          {"training.batch_size", "3"},
          {"training.gradient_accumulation_steps", "2"},
          {"training.max_seq_length", "8"},
          {"training.epochs", "2", kNumbers, few},
          {"training.max_steps", "5"},
          {"training.precision", "bf16-mixed"},
          {"training.max_grad_norm", "0.001"},
          {"training.mlm_probability", "0.5", kWeights, {{"training.objective", "mlm"}}},
          {"training.noise_schedule", "linear", kWeights, {{"training.objective", "diffusion"}}},
          {"training.eval_steps", "2", kNumbers},
          {"training.eval_batches", "1", kNumbers},
          {"training.eval_length_factor", "2", kNumbers},
          {"training.early_stopping_patience",
           "1",
           kNumbers,
           {{"optimizer.learning_rate", "0"}, {"training.eval_steps", "1"}}},
          {"training.early_stopping_threshold",
           "100",
           kNumbers,
           {{"training.early_stopping_patience", "1"}, {"training.eval_steps", "1"}}},
          {"checkpoint.save_steps", "2", kCheckpoints},
          {"checkpoint.save_epochs", "1", kCheckpoints,
           joined({{"training.epochs", "3"},
                   {"training.batch_size", "16"},
                   {"training.eval_steps", "0"},
                   {"checkpoint.keep_last", "0"}},
                  few)},
          {"checkpoint.keep_last", "1", kCheckpoints, {{"checkpoint.save_steps", "1"}}},
          {"checkpoint.model_path", "start"},
          {"checkpoint.resize_embeddings",
           "true",
           kRefused,
           {{"checkpoint.model_path", "start"}, {"tokenizer.path", "more_words.model"}}},
          {"logging.logging_steps", "2", kNumbers},
          {"logging.gradient_norm_steps", "2", kNumbers},
          {"logging.csv", "false", "metrics.csv"},
          {"logging.tensorboard", "true", "events"}};
}

std::vector<Row> data_table() {
  const Flags text = {{"data.path", "text.txt"}, {"data.synthetic_stories", "(unset)"}};
  const auto from = [&](const char* file, Flags more = {}) {
    more["data.path"] = file;
    return joined(more, text);
  };
  const Flags own = {{"tokenizer.path", "(unset)"}, {"tokenizer.vocab_size", "300"}};
  return {{"tokenizer.path", "more_words.model"},
          {"tokenizer.vocab_size", "290", kWeights, joined(own, text)},
          {"tokenizer.model_type", "unigram", kWeights, joined(own, text)},
          {"tokenizer.byte_fallback", "false", kWeights,
           joined({{"tokenizer.model_type", "char"}}, joined(own, text))},
          {"tokenizer.character_coverage", "0.98", kWeights,
           joined({{"tokenizer.model_type", "char"}}, joined(own, from("rare.txt")))},
          {"tokenizer.max_sentences", "20", kWeights,
           joined({{"tokenizer.vocab_size", "295"}}, joined(own, text))},
          {"data.path", "other.txt", kWeights, text},
          {"data.validation_path", "other.txt", kNumbers,
           joined({{"data.val_fraction", "(unset)"}}, text)},
          {"data.val_fraction", "0.4", kNumbers, {{"training.eval_batches", "0"}}},
          {"data.val_split", "tail", kWeights, text},
          {"data.format", "text", kWeights, from("rows.jsonl")},
          {"data.split", "blank-line", kWeights, joined({{"training.rows", "documents"}}, text)},
          {"data.field", "other", kWeights, from("rows.jsonl")},
          {"data.skip_bad", "true", kRefused, from("bad.jsonl")},
          {"data.allow_invalid_utf8", "true", kRefused, from("latin.txt")},
          {"data.add_bos", "true"},
          {"data.chat_template", "mine.jinja", kWeights, from("chats.jsonl")},
          {"data.train_on_prompt", "false", kWeights, from("chats.jsonl")},
          {"data.use_lmsys_dataset", "true", kWeights, from("rows.jsonl")},
          {"data.shuffle", "false"},
          {"data.shift_windows",
           "false",
           kWeights,
           {{"data.synthetic_stories", "4"}, {"training.batch_size", "24"}}},
          {"data.synthetic_stories", "90"},
          {"data.synthetic_seed", "9"}};
}

std::vector<Row> model_table() {
  const Flags yarn = {{"model.rope_scaling.rope_type", "yarn"}, {"model.rope_scaling.factor", "4"}};
  const Flags llama3 = {{"model.rope_scaling.rope_type", "llama3"},
                        {"model.rope_scaling.factor", "4"}};
  return {{"model.vocab_size", "310"},
          {"model.hidden_size", "32"},
          {"model.num_hidden_layers", "1"},
          {"model.num_attention_heads", "4"},
          {"model.num_key_value_heads", "1"},
          {"model.head_dim", "4"},
          {"model.intermediate_size", "64"},
          {"model.max_position_embeddings", "8"},
          {"model.position_embedding_type", "alibi"},
          {"model.rope_theta", "100"},
          {"model.sliding_window", "4"},
          {"model.attention_bias", "true"},
          {"model.ffn_type", "gelu"},
          {"model.mlp_bias", "true"},
          {"model.use_parallel_ffn", "true"},
          {"model.norm_type", "layer_norm"},
          {"model.norm_first", "false"},
          {"model.rms_norm_eps", "0.01"},
          {"model.dropout", "0.2"},
          {"model.attention_dropout", "0.2"},
          {"model.initializer_range", "0.1"},
          {"model.tie_word_embeddings", "true"},
          {"model.rope_scaling.rope_type",
           "ntk",
           kWeights,
           {{"model.rope_scaling.rope_type", "linear"}, {"model.rope_scaling.factor", "4"}}},
          {"model.rope_scaling.factor",
           "2",
           kWeights,
           {{"model.rope_scaling.rope_type", "linear"}, {"model.rope_scaling.factor", "4"}}},
          {"model.rope_scaling.original_max_position_embeddings", "200", kWeights, yarn},
          {"model.rope_scaling.beta_fast", "0.25", kWeights,
           joined({{"model.rope_scaling.beta_slow", "0.01"}}, yarn)},
          {"model.rope_scaling.beta_slow", "0.01", kWeights, yarn},
          {"model.rope_scaling.attention_factor", "2", kWeights, yarn},
          {"model.rope_scaling.low_freq_factor", "0.1", kWeights, llama3},
          {"model.rope_scaling.high_freq_factor", "2", kWeights, llama3},
          {"model.sparse_attention.block_size", "4"},
          {"model.sparse_attention.local_blocks",
           "2",
           kWeights,
           {{"model.sparse_attention.block_size", "4"}}},
          {"model.sparse_attention.global_blocks",
           "0",
           kWeights,
           {{"model.sparse_attention.block_size", "4"}}}};
}

/// Keys whose runs are the same by their promise, and those that a first run has no use for.
const std::map<std::string, const char*> kElsewhere = {
    {"device", "where it is computed"},
    {"threads", "how many share the work"},
    {"encryption_key_file", "the same weights under a key: encrypt_test.sh"},
    {"data.workers", "who reads ahead; the same order, below"},
    {"model.attention_type", "two ways to one result: tests/model"},
    {"model.use_gradient_checkpointing", "memory for work: tests/model"},
    {"model.pad_token_id", "taken from the tokenizer; others are refused: run_directory_test.sh"},
    {"model.bos_token_id", "as that"},
    {"model.eos_token_id", "as that"},
    {"training.max_skipped_steps", "where numbers are not finite: run_directory_test.sh"},
    {"checkpoint.output_dir", "where the run lies"},
    {"checkpoint.resume_from_checkpoint", "on resume: run_directory_test.sh"},
    {"checkpoint.reset_optimizer", "on resume: tests/training/resume_test.cpp"},
    {"checkpoint.allow_data_change", "on resume: run_directory_test.sh"},
    {"checkpoint.force", "on resume: run_directory_test.sh"},
    {"logging.level", "what is said: tests/base/log_test.cpp"},
    {"logging.format", "how it is said: tests/base/log_test.cpp"},
    {"logging.quiet", "whether it is said: tests/base/log_test.cpp"},
    {"distributed.distributed_backend", "one process: others are refused"},
    {"distributed.data_parallel_size", "as that"},
    {"distributed.tensor_parallel_size", "as that"},
    {"distributed.pipeline_parallel_size", "as that"},
    {"distributed.zero_offload_params", "as that"}};

std::vector<Row> whole_table() {
  std::vector<Row> all;
  for (const auto& part : {training_table(), optimizer_table(), data_table(), model_table()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

class EachKey : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    corpus_ = std::make_unique<Corpus>();
    const Flags own = {{"tokenizer.path", "(unset)"},
                       {"tokenizer.vocab_size", "300"},
                       {"data.synthetic_stories", "(unset)"},
                       {"data.path", "text.txt"}};
    run_with(own, "start");
    fs::copy_file("start/tokenizer.model", "words.model");
    run_with(joined({{"tokenizer.vocab_size", "310"}}, own), "wider");
    fs::copy_file("wider/tokenizer.model", "more_words.model");
    run_with({}, "start");
  }
  static void TearDownTestSuite() { corpus_.reset(); }

  /// The run without the key; many keys share one.
  static const Outcome& usual(const Flags& beside) {
    const auto known = usual_.find(beside);
    return known != usual_.end() ? known->second : usual_[beside] = run_with(beside);
  }

 private:
  static inline std::unique_ptr<Corpus> corpus_;
  static inline std::map<Flags, Outcome> usual_;
};

TEST_F(EachKey, ChangesWhatARunComputesOrLeavesBehind) {
  for (const Row& row : whole_table()) {
    SCOPED_TRACE(row.key + " " + row.value);
    const Outcome& before = usual(row.beside);
    const Outcome after = run_with(joined({{row.key, row.value}}, row.beside));
    const bool was = before.contains(row.changes), is = after.contains(row.changes);
    if (row.changes == std::string(kRefused)) {
      EXPECT_TRUE(was);
      EXPECT_FALSE(is) << refusal_of(after);
      continue;
    }
    for (const Outcome* outcome : {&before, &after}) {
      EXPECT_EQ(refusal_of(*outcome), "");
    }
    EXPECT_TRUE(was || is);
    EXPECT_TRUE(was != is || (was && before.at(row.changes) != after.at(row.changes)));
  }
}

TEST_F(EachKey, IsInTheTableOrHasAReasonNotToBe) {
  std::map<std::string, int> known;
  for (const Row& row : whole_table()) ++known[row.key];
  for (const auto& [key, reason] : kElsewhere) ++known[key];
  RunConfig config;
  Fields fields;
  config.fields(fields);
  for (const Field& row : fields.rows()) {
    const bool apart = row.path().starts_with("generation.") ||
                       (row.is_hidden() && row.path().starts_with("model."));
    EXPECT_EQ(known[row.path()], apart ? 0 : 1) << row.path();
  }
}

TEST_F(EachKey, OfGenerationStandsInTheModelsDefaults) {
  RunConfig config;
  Fields fields;
  config.fields(fields);
  const std::map<std::string, std::string> texts = {
      {"generation.stop_strings", "birds"},   {"generation.max_context_policy", "slide"},
      {"generation.temperature", "0.5"},      {"generation.top_p", "0.5"},
      {"generation.repetition_penalty", "2"}, {"generation.length_penalty", "2"}};
  Flags flags;
  for (const Field& row : fields.rows()) {
    if (row.path().starts_with("generation.")) {
      const auto text = texts.find(row.path());
      flags[row.path()] = text != texts.end() ? text->second
                          : row.is_bool()     ? row.text() == "true" ? "false" : "true"
                          : row.text() == "1" ? "2"
                                              : "1";
    }
  }
  const Outcome after = run_with(flags);
  ASSERT_EQ(refusal_of(after), "");
  const nlohmann::json defaults = nlohmann::json::parse(after.at("final/generation_config.json"));
  // (What a report holds is the reader's matter: `generate --config RUN/config.yaml` has it.)
  const std::set<std::string> reports = {"return_input_logprobs", "return_logprobs", "return_probs",
                                         "return_text", "top_logprobs"};
  for (const auto& [key, value] : flags) {
    const std::string name = key.substr(key.find('.') + 1);
    EXPECT_EQ(defaults.contains(name), !reports.contains(name)) << key;
  }
}

// Row B74.
TEST_F(EachKey, ReadingAheadChangesNothing) {
  for (const char* workers : {"1", "4"}) {
    EXPECT_EQ(run_with({{"data.num_workers", workers}, {"data.workers", "(unset)"}}), usual({}))
        << workers;
  }
  for (const char* key : {"logging.level", "logging.format"}) {
    const std::string value = key == std::string("logging.level") ? "debug" : "json";
    EXPECT_EQ(run_with({{key, value}, {"logging.quiet", "false"}}), usual({})) << key;
  }
}

}  // namespace
}  // namespace llm
