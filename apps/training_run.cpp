#include "apps/training_run.h"

#include <csignal>
#include <functional>

#include "apps/generation_defaults.h"
#include "apps/program_error.h"
#include "apps/run_chat_template.h"
#include "apps/run_directory.h"
#include "apps/run_model.h"
#include "apps/run_record.h"
#include "apps/run_report.h"
#include "apps/run_start.h"
#include "apps/training_setup.h"
#include "base/atomic_file.h"
#include "base/encryption_key.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/number_text.h"
#include "base/sha256.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "base/system_memory.h"
#include "model/device.h"
#include "model/kernels/cpu_backend.h"
#include "model/model_size.h"
#include "training/training_memory.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

void resume(Trainer& trainer, const ResumeChoice& start) {
  for (const std::string& line : start.passed_over) {
    log_warn("{}; going back to {}", line, start.checkpoint.filename().string());
  }
  for (const std::string& line : trainer.resume(start.checkpoint)) {
    log_info("{}", line);
  }
  log_info("resumed from {}", start.checkpoint.string());
}

/// Of processes that were killed here. What cannot be removed is in nobody's way.
void clear_leftovers(const fs::path& folder) {
  try {
    remove_leftovers(folder, /*locked=*/true);
  } catch (const Error& error) {
    log_warn("{}", error.message());
  }
}

/// The model of a shorter run, whose checkpoint stays: a process that dies here leaves all of it or
/// nothing.
void remove_final_model(const fs::path& run) {
  if (fs::exists(run / "final")) remove_atomically(run / "final");
}

void check_memory(const RunConfig& run) {
  if (!resolve_device(run.runtime.device).is_cpu()) return;
  const int64_t parameters = parameter_count(run.model);
  const auto bytes = static_cast<uint64_t>(
      least_training_bytes(parameters, run.training.precision, run.optimizer.name));
  const auto there = static_cast<uint64_t>(usable_memory_bytes());
  if (bytes <= there) return;
  fail(Exit::usage,
       fmt::format("training {} parameters takes {} for weights, gradients and optimizer; there "
                   "are {} of memory here",
                   human_count(parameters), human_bytes(bytes), human_bytes(there)),
       "llm create-config --params N makes a smaller model; --optimizer adafactor takes less");
}

/// repeatable: the command itself goes on where a run has come to.
int exit_code_of(const StopSignal& stop, const fs::path& checkpoint, bool repeatable) {
  log_info("ended by {}; the same command {}goes on from {}", stop.name(),
           repeatable ? "" : "with --resume-from-checkpoint auto ", checkpoint.string());
  return stop.exit_code();
}

const char* result_name(StopReason reason) {
  switch (reason) {
    case StopReason::finished:
      return "finished";
    case StopReason::early_stopping:
      return "early_stopping";
    case StopReason::signal:
      return "signal";
  }
  return "";
}

/// run.json of a run that failed; what it failed of is what the user is told, not this.
void record_failure(const Trainer& trainer, RunRecord& record, const fs::path& run) {
  record.training = trainer.result();
  record.error = error_in_flight().message();
  record.result = "failed";
  record.finished = utc_now();
  try {
    write_run_record(run, record);
  } catch (const Error& error) {
    log_warn("run.json does not say that the run failed: {}", error.message());
  }
}

/// Trains and saves the final model; run.json says before and after where the run stands.
void train_and_record(Trainer& trainer, RunRecord& record, const fs::path& run,
                      const std::function<void()>& save) {
  record.training = trainer.result();
  record.result = "running";
  write_run_record(run, record);
  try {
    record.training = trainer.train();
    if (record.training.reason != StopReason::signal) {
      save();
    }
  } catch (...) {
    record_failure(trainer, record, run);
    throw;
  }
  record.finished = utc_now();
  record.result = result_name(record.training.reason);
  write_run_record(run, record);
}

}  // namespace

decltype(TrainerSetup::on_step) kill_at(int64_t step) {
  if (step == 0) {
    return {};
  }
  return [step](int64_t now) {
    if (now == step) {
      std::raise(SIGKILL);
    }
  };
}

namespace {

int train_in_directory(RunConfig& run, const Fields& fields, const TrainingVerb& verb,
                       const StopSignal& stop) {
  const StopRequest stop_requested = [&] { return stop.requested(); };
  const EncryptionKey key = read_encryption_key(run.runtime.encryption_key_file);
  RunDirectory run_directory(run.checkpoint.output_dir);
  const fs::path& directory = run_directory.path();
  attach_log_file(directory / "training.log");
  for (const std::string& line : run.set_aside) {
    log_info("{}", line);
  }
  clear_leftovers(directory);
  clear_leftovers(directory / "data");
  set_mapping_activity("training");
  RunRecord record;
  record.started = utc_now();
  const std::optional<ResumeChoice> start = choose_start(run.checkpoint);
  const bool repeatable = run.checkpoint.resume_from_checkpoint == "auto";
  if (start) {
    keep_choices(run, start->checkpoint);
  }
  RunTokenizer tokenizer = choose_tokenizer(run, fields, start, stop_requested);
  // What a resume would write waits until it is known to go on; the data is prepared beside.
  std::optional<AtomicDirectory> beside;
  if (start) {
    beside.emplace(directory / "data");
  } else {
    write_tokenizer(tokenizer, directory);
  }
  settle_model(run, fields, tokenizer);
  if (start) check_resume(run, fields, tokenizer, start->checkpoint);
  check_memory(run);
  const RunChatTemplate chat = choose_chat_template(run, *tokenizer.tokenizer, start);
  RunData data = prepare_run_data(run.data, *tokenizer.tokenizer, directory,
                                  static_cast<uint64_t>(run.runtime.seed), chat.format,
                                  stop_requested, beside ? beside->temporary() : fs::path());
  // What is masked is guessed from both sides: the entropy is no bound of that.
  if (run.training.objective == "mlm") data.entropy_nats_per_token = 0;
  log_info("data: {}", data.text());
  RunLoaders loaders = open_loaders(run, data, *tokenizer.tokenizer);
  const bool chats = add_chat_template(chat, data.train, tokenizer);
  const auto turn_end = chats ? chat.turn_end : std::nullopt;
  const std::unique_ptr<Transformer> model = make_model(run, key);
  record.parameters = parameter_count(run.model);
  log_info("model: {} parameters, {} on {}", human_count(record.parameters), run.training.precision,
           model->device().str());
  if (model->device().is_cpu()) log_info("kernels: {}", cpu_backend_text());

  TrainerSetup setup = trainer_setup(run, fields, tokenizer, loaders, start);
  setup.encryption_key = key;
  settle_start(run.checkpoint, start);  // (the trainer knows what was asked for)
  const std::string config_text = fields.to_yaml_with_comments();
  setup.identity.config_sha256 = sha256_hex(config_text);
  record.identity = setup.identity;
  setup.stop_requested = stop_requested;
  setup.on_step = verb.on_step;
  const int64_t total_steps = setup.total_steps;
  Trainer trainer(std::move(setup), *model);
  if (start) {
    resume(trainer, *start);
    write_tokenizer(tokenizer, directory);
    data.adopt();
    beside.reset();
    if (trainer.step() < total_steps) remove_final_model(directory);
  }
  chat.write();
  if (const auto file = write_generation_defaults(run, turn_end, directory)) {
    tokenizer.files.push_back(*file);
    trainer.add_model_file(*file);
  }
  write_file_atomically(directory / "config.yaml", config_text);
  run_directory.keep();
  record.seed = run.runtime.seed;
  record.threads = run.runtime.threads;
  record.device = model->device().str();
  record.precision = run.training.precision;
  record.kernels = training_kernels(model->device());
  record.resumed_from = start ? start->checkpoint.string() : "";
  record.entropy_nats_per_token = data.entropy_nats_per_token;
  train_and_record(trainer, record, directory,
                   [&] { save_final(directory, *model, tokenizer.files, key); });
  if (record.training.reason == StopReason::signal) {
    return exit_code_of(stop, record.training.last_checkpoint, repeatable);
  }
  write_stdout(training_report(run, directory, record.training, data, verb.next));
  return 0;
}

}  // namespace

int run_training(RunConfig& run, const Fields& fields, const TrainingVerb& verb) {
  const StopSignal stop;  // also while a tokenizer is trained and data is prepared
  try {
    return train_in_directory(run, fields, verb, stop);
  } catch (const Stopped&) {
    log_info("ended by {} before the first step; nothing was trained", stop.name());
    return stop.exit_code();
  }
}

}  // namespace llm
