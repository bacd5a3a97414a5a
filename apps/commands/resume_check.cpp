// llm resume-check: proof that a run killed in the middle and continued is bit for bit the run that
// was never interrupted.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "apps/child_process.h"
#include "apps/commands.h"
#include "apps/run_model.h"
#include "apps/shared_options.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/path_queries.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/model_io.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSteps = 20;

struct ResumeCheckConfig {
  RunConfig run;
  ResumeCheckConfig() : run(pretrain_defaults()) { run.cut_short = true; }
  void fields(Fields& f) {
    run.fields(f);
    f.show_only(
        {"", "tokenizer", "data", "training", "optimizer", "scheduler", "checkpoint", "logging"});
  }
};

constexpr const char* kConfigName = "resume-check.yaml";

/// What a check makes in its folder; kConfigName marks the folder as that of a check.
constexpr std::array<std::string_view, 5> kOwnNames{kConfigName, "tokenizer", "whole", "resumed",
                                                    "run.lock"};

/// The folder will be emptied: nothing but what a check left may lie there.
void refuse_others_files(const fs::path& folder) {
  const bool is_ours = fs::exists(folder / kConfigName);
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const std::string name = entry.path().filename().string();
    const bool own = std::find(kOwnNames.begin(), kOwnNames.end(), name) != kOwnNames.end();
    if (!own || (!is_ours && name != "run.lock")) {
      fail(Exit::usage,
           fmt::format("'{}' holds '{}', which no resume check made", folder.string(), name),
           "choose another --output-dir; without one the check works in a temporary folder");
    }
  }
}

std::string new_temporary_folder() {
  std::string name = (fs::temp_directory_path() / "llm-resume-check-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    fail_errno("cannot create folder '" + name + "'");
  }
  return name;
}

/// Where the two runs of the check lie; a temporary folder unless one is named. A named one stays
/// once keep() was called.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& named)
      : path(named.empty() ? new_temporary_folder() : named),
        is_temporary_(named.empty()),
        goes_again_(named.empty() || !fs::exists(named)) {
    refuse_others_files(path);
    make_directories(path);
    lock_.emplace(path);
  }
  ~WorkFolder() {
    if (goes_again_) {
      discard(path);  // while it is locked
    }
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  void keep() { goes_again_ = is_temporary_; }

  const fs::path path;

 private:
  bool is_temporary_;
  bool goes_again_;
  std::optional<RunLock> lock_;
};

/// The configs of the children hold what the environment said; read again, it would say it of what
/// is settled there (a tokenizer that is there, a shorter run).
void forget_variables() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string name(text.substr(0, text.find('=')));
    if (name.starts_with("LLM_") && name != "LLM_CPU_BACKEND") names.push_back(name);
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

/// Only where the user asks for it now: every complete config names the folder of its own run.
std::string named_folder(const RunConfig& run, const Fields& fields) {
  return fields.find("checkpoint.output_dir")->origin().is_order() ? run.checkpoint.output_dir : "";
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  const std::string text = read_file(file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

/// "38 tensors equal", or an Error that names the first that differs.
std::string compare_tensors(const fs::path& whole, const fs::path& resumed, const std::string& file,
                            const EncryptionKey& key) {
  const TensorFile a = map_tensors(whole / file, key);
  const TensorFile b = map_tensors(resumed / file, key);
  if (a.tensors.size() != b.tensors.size()) {
    fail(Exit::internal, fmt::format("{}: {} tensors without a break, {} after the resume", file,
                                     a.tensors.size(), b.tensors.size()));
  }
  for (const auto& [name, tensor] : a.tensors) {
    const auto other = b.tensors.find(name);
    const bool equal =
        other != b.tensors.end() && other->second.sizes() == tensor.sizes() &&
        other->second.nbytes() == tensor.nbytes() &&
        std::memcmp(other->second.data_ptr(), tensor.data_ptr(), tensor.nbytes()) == 0;
    if (!equal) {
      fail(Exit::internal, fmt::format("{}: tensor '{}' differs after the resume", file, name));
    }
  }
  return fmt::format("{:<40}{} tensors, all bits equal", file, a.tensors.size());
}

std::string compare_states(const fs::path& whole, const fs::path& resumed) {
  nlohmann::json a = parse_json_file(whole / "training_state/state.json");
  nlohmann::json b = parse_json_file(resumed / "training_state/state.json");
  for (nlohmann::json* state : {&a, &b}) {
    (*state)["identity"].erase("config_sha256");  // names the run directory
  }
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || b[key] != value) {
      fail(Exit::internal,
           fmt::format("training_state/state.json: '{}' differs after the resume", key));
    }
  }
  return fmt::format("{:<40}{} entries equal (counters, seed, data cursor, schedule, scaler, best)",
                     "training_state/state.json", a.size());
}

std::string compare_losses(const fs::path& whole, const fs::path& resumed) {
  const std::vector<std::string> a = lines_of(whole / "metrics.jsonl");
  const std::vector<std::string> b = lines_of(resumed / "metrics.jsonl");
  if (a.size() != b.size()) {
    fail(Exit::internal, fmt::format("metrics.jsonl: {} rows without a break, {} after the resume",
                                     a.size(), b.size()));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    const nlohmann::json x = parse_json(a[i], "metrics.jsonl");
    const nlohmann::json y = parse_json(b[i], "metrics.jsonl");
    for (const char* key : {"step", "epoch", "tokens", "loss", "lr", "grad_norm", "skipped_steps",
                            "val_loss", "val_accuracy", "val_long_loss"}) {
      if (x.value(key, nlohmann::json()) != y.value(key, nlohmann::json())) {
        fail(Exit::internal,
             fmt::format("metrics.jsonl: {} of row {} differs after the resume", key, i + 1));
      }
    }
  }
  return fmt::format("{:<40}{} rows, losses and gradient norms equal", "metrics.jsonl", a.size());
}

/// Of the checkpoint that the resumed run began with.
int64_t resumed_step(const fs::path& run) {
  const nlohmann::json record = parse_json_file(run / "run.json");
  return step_of_checkpoint(record.value("resumed_from", "")).value_or(0);
}

/// 0, or the exit code of a child that said itself what was wrong.
int code_of_child(const ChildEnd& end, const char* what) {
  if (end.signal_number != 0) {
    fail(Exit::internal, fmt::format("{} was ended by signal {}", what, end.signal_number));
  }
  if (end.exit_code != 0) log_info("{} ended with exit {}", what, end.exit_code);
  return end.exit_code;
}

int check_in_folder(ResumeCheckConfig& config, const Fields& fields, const StopRequest& stop) {
  RunConfig& run = config.run;
  const int64_t steps = run.training.max_steps.value_or(kSteps);
  check(fields.find("training.epochs")->origin().kind != FieldOrigin::by_flag,
        "--epochs has no effect here: --steps sets the length");
  check(steps >= 2, "--steps: at least 2 are needed, got {}", steps);
  const int64_t save_every = std::max<int64_t>(1, steps * 2 / 5);
  const int64_t kill_at = std::min(steps - 1, save_every + std::max<int64_t>(1, steps / 5));
  const EncryptionKey key = shared_key(fields);
  WorkFolder work(named_folder(run, fields));
  for (const char* name : {"tokenizer", "whole", "resumed"}) {
    remove_tree(work.path / name);
  }

  // Tokenizer and shape are settled once, so that both runs read one complete config.
  run.checkpoint.output_dir = work.path / "tokenizer";
  run.checkpoint.resume_from_checkpoint = "auto";
  make_directories(run.checkpoint.output_dir);
  const RunTokenizer tokenizer = choose_tokenizer(run, fields, std::nullopt, stop);
  write_tokenizer(tokenizer, run.checkpoint.output_dir);
  settle_model(run, fields, tokenizer);
  run.tokenizer = {};  // how it was trained says nothing beside its path
  run.tokenizer.path = fs::absolute(tokenizer.files[0]);
  run.training.max_steps = steps;
  run.training.epochs = 1;
  run.training.early_stopping_patience = 0;  // both are to reach the last step
  run.training.early_stopping_threshold = TrainingConfig().early_stopping_threshold;
  if (run.scheduler.warmup_steps) {
    run.scheduler.warmup_steps = std::min(*run.scheduler.warmup_steps, steps);
  }
  run.checkpoint.save_steps = save_every;
  run.logging.metrics.logging_steps = 1;
  run.logging.log.level = "warn";
  write_file_atomically(work.path / kConfigName, fields.to_yaml());
  work.keep();
  forget_variables();
  const auto train = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"pretrain", "--config", work.path / kConfigName,
                                          "--output-dir", work.path / name};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ChildEnd end = run_self(arguments, stop);
    end_if_asked(stop);
    return end;
  };
  if (const int code = code_of_child(train("whole", {}), "the run without a break")) return code;
  const ChildEnd killed = train("resumed", {"--kill-at-step", std::to_string(kill_at)});
  if (killed.signal_number != SIGKILL) {
    const int code = code_of_child(killed, "the run that should have been killed");
    if (code == 0) fail(Exit::internal, "the second run was not killed");
    return code;
  }
  if (const int code = code_of_child(train("resumed", {}), "the resumed run")) return code;

  const fs::path whole = work.path / "whole";
  const fs::path resumed = work.path / "resumed";
  const std::string name = checkpoint_name(steps);
  std::string report = fmt::format(
      "{} steps without a break, and again with SIGKILL after step {} and a resume from step {}:\n",
      steps, kill_at, resumed_step(resumed));
  for (const std::string& line :
       {compare_tensors(whole / name, resumed / name, "model.safetensors", key),
        compare_tensors(whole / name, resumed / name, "training_state/optimizer.safetensors", key),
        compare_states(whole / name, resumed / name), compare_losses(whole, resumed)}) {
    report += "  " + line + "\n";
  }
  write_stdout(report + "The resumed run is the uninterrupted run, bit for bit.\n");
  return 0;
}

int resume_check(ResumeCheckConfig& config, const Fields& fields) {
  const StopSignal stop;
  try {
    return check_in_folder(config, fields, [&] { return stop.requested(); });
  } catch (const Stopped&) {
    log_info("ended by {}; nothing was shown", stop.name());
    return stop.exit_code();
  }
}

}  // namespace

Command resume_check_command() {
  return make_command<ResumeCheckConfig>(
      {.name = "resume-check",
       .summary = "Train, kill, resume, and compare every tensor bit for bit",
       .details = "Takes what pretrain takes. --steps N (20) sets the length. Exit 1 names the "
                  "first tensor that differs; a run that fails ends the\n"
                  "check with its exit code. It works in a temporary folder; --output-dir names a "
                  "new one, "
                  "which stays.\n\n"
                  "Example: llm resume-check --config config/mini.yaml --steps 20"},
      resume_check);
}

}  // namespace llm
