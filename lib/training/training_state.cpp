#include "training/training_state.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kStateFormat = 1;
constexpr int64_t kLargest = INT64_MAX;
constexpr double kFar = 1e300;

json optional_number(const std::optional<double>& value) {
  return value ? json(*value) : json(nullptr);
}

/// A loss that is not finite becomes null.
ordered_json to_json(const std::optional<LossTotals>& v) {
  return v ? ordered_json{{"nll", v->nll},
                          {"tokens", v->tokens},
                          {"correct", v->correct},
                          {"bytes", v->bytes},
                          {"targets", v->targets}}
           : ordered_json(nullptr);
}

std::optional<LossTotals> validation_of(const std::optional<JsonView>& view) {
  if (!view) return std::nullopt;
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();  // null
  return LossTotals{view->get_double("nll", 0, kFar, kNone), view->get_int("tokens", 0, kLargest),
                    view->get_int("correct", 0, kLargest), view->get_int("bytes", 0, kLargest),
                    view->get_int("targets", 0, kLargest, 0)};
}

ordered_json to_json(const TrainingState& s) {
  ordered_json j;
  j["format"] = kStateFormat;
  j["step"] = s.step;
  j["epoch"] = s.epoch;
  j["tokens"] = s.tokens;
  j["skipped_steps"] = s.skipped_steps;
  j["skipped_in_a_row"] = s.skipped_in_a_row;
  j["optimizer"] = {{"name", s.optimizer_name}, {"updates", s.optimizer_updates}};
  j["schedule"] = {{"name", s.schedule_name},
                   {"peak", s.schedule_peak},
                   {"warmup_steps", s.warmup_steps},
                   {"total_steps", s.total_steps}};
  j["scaler"] = {
      {"enabled", s.scale.enabled}, {"scale", s.scale.value}, {"good_steps", s.scale.good_steps}};
  j["rng"] = {{"kind", "counter"}, {"seed", s.seed}};
  j["data_cursor"] = {{"row", s.row}};
  j["best"] =
      s.best ? ordered_json{{"step", s.best->step}, {"loss", s.best->loss}} : ordered_json(nullptr);
  j["early_stopping"] = {{"reference", optional_number(s.early_stopping_reference)},
                         {"without_gain", s.evaluations_without_gain}};
  j["last_loss"] = optional_number(s.last_loss);
  j["last_validation"] = to_json(s.last_validation);
  j["last_long_validation"] = to_json(s.last_long_validation);
  j["identity"] = {{"config_sha256", s.identity.config_sha256},
                   {"tokenizer_sha256", s.identity.tokenizer_sha256},
                   {"data_sha256", s.identity.data_sha256},
                   {"validation_sha256", s.identity.validation_sha256}};
  j["validated"] = s.validated;
  j["precision"] = s.precision;
  j["kernels"] = s.kernels;
  j["threads"] = s.threads;
  j["settings"] = s.settings;
  return j;
}

void read_validation(TrainingState& s, const JsonView& view) {
  if (const auto best = view.find("best")) {
    s.best =
        BestValidation{best->get_int("step", 0, kLargest), best->get_double("loss", -kFar, kFar)};
  }
  const JsonView early = view.at("early_stopping");
  if (const auto reference = early.find("reference")) {
    s.early_stopping_reference = reference->as_double(-kFar, kFar);
  }
  s.evaluations_without_gain = early.get_int("without_gain", 0, kLargest);
  if (const auto loss = view.find("last_loss")) {
    s.last_loss = loss->as_double(-kFar, kFar);
  }
  s.last_validation = validation_of(view.find("last_validation"));
  s.last_long_validation = validation_of(view.find("last_long_validation"));
}

/// Keys of the model that may differ between a checkpoint and the run that goes on from it.
const std::set<std::string> kChangeableModelKeys = {
    "model.dropout",
    "model.attention_dropout",
    "model.use_gradient_checkpointing",
    "model.attention_type",
    "model.initializer_range",
    "model.use_bidirectional_attention"};  // follows training.objective
/// Keys that decide which rows come next.
const std::set<std::string> kDataKeys = {"training.max_seq_length", "training.objective",
                                         "training.rows",           "training.mlm_probability",
                                         "training.noise_schedule", "data.shuffle",
                                         "data.shift_windows"};

std::string shown(const std::string& hash) {
  return hash.empty() ? "none" : hash.substr(0, 12) + "…";
}

void compare_identity(const TrainingState& saved, const TrainingState& wanted,
                      const CheckpointConfig& options) {
  check_input(saved.identity.tokenizer_sha256 == wanted.identity.tokenizer_sha256,
              "checkpoint tokenizer sha256 {}, given {}", shown(saved.identity.tokenizer_sha256),
              shown(wanted.identity.tokenizer_sha256));
  if (options.allow_data_change) {
    return;
  }
  const std::string hint = "--allow-data-change takes the new data from its beginning";
  if (saved.identity.data_sha256 != wanted.identity.data_sha256) {
    fail(Exit::bad_input,
         fmt::format("data 'train' changed since step {} (sha256 {}, now {})", saved.step,
                     shown(saved.identity.data_sha256), shown(wanted.identity.data_sha256)),
         hint);
  }
  if (saved.seed != wanted.seed) {
    fail(Exit::bad_input,
         fmt::format("seed is {} in the checkpoint, {} in the config: the data order would change",
                     saved.seed, wanted.seed),
         hint);
  }
}

bool parameters_are_bf16(const std::string& precision) { return precision == "bf16-true"; }

}  // namespace

void write_training_state(const fs::path& checkpoint, const TrainingState& state) {
  OutputFile file = OutputFile::create(checkpoint / "training_state" / "state.json");
  file.write(dump_json(to_json(state), 2) + "\n");
  file.close();
}

TrainingState read_training_state(const fs::path& checkpoint) {
  const json document = parse_json_file(checkpoint / "training_state" / "state.json");
  const JsonView view(document, checkpoint.filename().string() + "/training_state/state.json");
  view.expect_object();
  const int64_t format = view.get_int("format", 1, kLargest);
  check_input(format <= kStateFormat, "checkpoint format {} is newer than this program ({})",
              format, kStateFormat);
  TrainingState s;
  s.step = view.get_int("step", 0, kLargest);
  s.epoch = view.get_double("epoch", 0, kFar);
  s.tokens = view.get_int("tokens", 0, kLargest);
  s.skipped_steps = view.get_int("skipped_steps", 0, kLargest);
  s.skipped_in_a_row = view.get_int("skipped_in_a_row", 0, kLargest);
  s.optimizer_name = view.at("optimizer").get_string("name");
  s.optimizer_updates = view.at("optimizer").get_int("updates", 0, kLargest);
  const JsonView schedule = view.at("schedule");
  s.schedule_name = schedule.get_string("name");
  s.schedule_peak = schedule.get_double("peak", 0, kFar);
  s.warmup_steps = schedule.get_int("warmup_steps", 0, kLargest);
  s.total_steps = schedule.get_int("total_steps", 0, kLargest);
  const JsonView scaler = view.at("scaler");
  s.scale.enabled = scaler.get_bool("enabled");
  s.scale.value = scaler.get_double("scale", 0, kFar);
  s.scale.good_steps = scaler.get_int("good_steps", 0, kLargest);
  s.seed = view.at("rng").get_int("seed", 0, kLargest);
  s.row = view.at("data_cursor").get_int("row", 0, kLargest);
  read_validation(s, view);
  const JsonView identity = view.at("identity");
  s.identity = {identity.get_string("tokenizer_sha256"), identity.get_string("data_sha256"),
                identity.get_string("config_sha256"), ""};
  if (const auto validation = identity.find("validation_sha256")) {
    s.identity.validation_sha256 = validation->as_string();
  }
  if (const auto validated = view.find("validated")) {
    s.validated = validated->as_string();
  }
  s.precision = view.get_string("precision");
  if (const auto kernels = view.find("kernels")) {
    s.kernels = kernels->as_string();
  }
  s.threads = view.get_int("threads", 0, kLargest);
  const JsonView settings = view.at("settings");
  for (const std::string& key : settings.keys()) {
    s.settings[key] = settings.get_string(key);
  }
  return s;
}

std::map<std::string, std::string> settings_of(TrainingConfig training, OptimizerConfig optimizer,
                                               SchedulerConfig scheduler) {
  Fields fields;
  fields.section("training", training);
  fields.section("optimizer", optimizer);
  fields.section("scheduler", scheduler);
  std::map<std::string, std::string> settings;
  for (const Field& row : fields.rows()) {
    settings[row.path()] = row.text();
  }
  return settings;
}

std::vector<std::string> compare_models(ModelConfig saved, ModelConfig wanted) {
  // Absent keys mean their resolved values: "heads" given or left out is the same model.
  for (ModelConfig* config : {&saved, &wanted}) {
    config->num_key_value_heads = config->key_value_heads();
    config->head_dim = config->head_size();
    config->intermediate_size = config->ffn_size();
    config->attention_dropout = config->attention_dropout_probability();
    config->use_rope = config->uses_rope();
    config->hidden_act.reset();  // another spelling of ffn_type
  }
  Fields before, after;
  before.section("model", saved);
  after.section("model", wanted);
  std::vector<std::string> changes;
  for (size_t i = 0; i < before.rows().size(); ++i) {
    const Field& a = before.rows()[i];
    const Field& b = after.rows()[i];
    if (a.text() == b.text()) {
      continue;
    }
    check_input(kChangeableModelKeys.contains(a.path()),
                "{} is {} in the checkpoint, {} in the config", a.path(), a.text(), b.text());
    changes.push_back(fmt::format("{} changed from {} to {}", a.path(), a.text(), b.text()));
  }
  return changes;
}

std::string compare_kernels(const TrainingState& saved, const TrainingState& wanted,
                            const std::string& checkpoint_name) {
  if (saved.kernels.empty() || saved.kernels == wanted.kernels) {
    return "";
  }
  return fmt::format(
      "{} was written with kernels {}, this process uses {}: the run goes on, but equal only to "
      "rounding",
      checkpoint_name, saved.kernels, wanted.kernels);
}

bool begins_data_anew(const TrainingState& saved, const RunIdentity& identity, int64_t seed) {
  return saved.identity.data_sha256 != identity.data_sha256 || saved.seed != seed;
}

std::vector<std::string> compare_states(const TrainingState& saved, const TrainingState& wanted,
                                        const CheckpointConfig& options, bool may_be_complete) {
  compare_identity(saved, wanted, options);
  if (saved.optimizer_name != wanted.optimizer_name && !options.reset_optimizer) {
    fail(Exit::bad_input,
         fmt::format("optimizer state is {}, config asks {}", saved.optimizer_name,
                     wanted.optimizer_name),
         "--reset-optimizer starts the optimizer anew");
  }
  check_input(parameters_are_bf16(saved.precision) == parameters_are_bf16(wanted.precision),
              "training.precision is {} in the checkpoint, {} in the config", saved.precision,
              wanted.precision);
  if (saved.step > wanted.total_steps || (saved.step == wanted.total_steps && !may_be_complete)) {
    fail(Exit::bad_input, fmt::format("already at step {} of {}", saved.step, wanted.total_steps),
         "raise --max-steps (or --epochs)");
  }
  std::vector<std::string> changes;
  for (const auto& [key, value] : wanted.settings) {
    const auto before = saved.settings.find(key);
    if (before == saved.settings.end() || before->second == value) {
      continue;
    }
    if (kDataKeys.contains(key) && !options.allow_data_change) {
      fail(Exit::bad_input,
           fmt::format("{} is {} in the checkpoint, {} in the config", key, before->second, value),
           "--allow-data-change takes the data from its beginning");
    }
    changes.push_back(fmt::format("{} changed from {} to {}", key, before->second, value));
  }
  if (saved.total_steps != wanted.total_steps) {
    changes.push_back(fmt::format(
        "length of the run changed from {} to {} steps; the learning rate follows the new length",
        saved.total_steps, wanted.total_steps));
  }
  if (saved.precision != wanted.precision) {
    changes.push_back(
        fmt::format("precision changed from {} to {}", saved.precision, wanted.precision));
  }
  if (saved.threads != wanted.threads) {
    changes.push_back(
        fmt::format("threads changed from {} to {}: results may differ in the last bits",
                    saved.threads, wanted.threads));
  }
  return changes;
}

}  // namespace llm
