#include "apps/training_run.h"

#include <csignal>
#include <functional>

#include "apps/generation_defaults.h"
#include "apps/program_error.h"
#include "apps/run_chat_template.h"
#include "apps/run_directory.h"
#include "apps/run_model.h"
#include "apps/run_record.h"
#include "apps/shell_word.h"
#include "apps/training_setup.h"
#include "base/atomic_file.h"
#include "base/encryption_key.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/number_text.h"
#include "base/sha256.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/device.h"
#include "model/kernels/cpu_backend.h"
#include "model/model_size.h"

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

/// A resume keeps what the run chose for itself when it began, whatever it would choose now.
void keep_choices(RunConfig& run, const fs::path& checkpoint) {
  const bool any_precision = run.training.precision == "auto" && run.runtime.dtype == "auto";
  if (run.runtime.seed >= 0 && !any_precision) {
    return;
  }
  const TrainingState saved = read_training_state(checkpoint);
  if (run.runtime.seed < 0) {
    run.runtime.seed = saved.seed;
  }
  if (any_precision) {
    run.training.precision = saved.precision;
    const std::string usual = native_precision(resolve_device(run.runtime.device));
    if (usual != saved.precision) {
      log_info("training.precision auto: {} as in {}, where {} would be usual here",
               saved.precision, checkpoint.filename().string(), usual);
    }
  }
}

/// What to try next, as a shell takes it. More steps are of no use where more had brought no gain.
std::string next_commands(const fs::path& run, const TrainingResult& result,
                          const std::string& next) {
  const std::string name = shell_word(run.string());
  std::string text = fmt::format("Next:\n  {}\n  llm inspect {} --plot loss.svg\n",
                                 fmt::format(fmt::runtime(next), name), name);
  if (result.reason == StopReason::finished) {
    text += fmt::format("  llm pretrain --config {} --output-dir {} --max-steps {}\n",
                        shell_word((run / "config.yaml").string()), name, 2 * result.steps);
  }
  return text;
}

std::string report(const fs::path& run, const TrainingResult& result, const RunData& data,
                   const TrainingConfig& training, const std::string& next) {
  std::string text = fmt::format(
      "Trained {} steps on {} tokens{}\n", format_count(result.steps), format_count(result.tokens),
      result.loss ? fmt::format("; last loss {:.4f}", *result.loss) : "");
  if (result.validation) {
    const LossTotals& v = *result.validation;
    text += fmt::format(
        "Validation loss {:.4f} nats per token (perplexity {:.2f}, {:.4f} bits per byte, "
        "next-token accuracy {:.1f} %)\n",
        v.loss(), v.perplexity(), v.bits_per_byte(), 100 * v.accuracy());
    if (result.long_validation) {
      text += fmt::format(
          "On rows {} times as long ({} tokens): {:.4f} nats per token (perplexity {:.2f})\n",
          training.eval_length_factor, training.eval_length_factor * *training.max_seq_length,
          result.long_validation->loss(), result.long_validation->perplexity());
    }
    if (data.synthetic) {
      text += fmt::format(
          "Exact entropy of the built-in stories: {:.4f} nats per token; no model can do better\n",
          data.entropy_nats_per_token);
    }
  }
  return text + fmt::format("Model: {}\n", (run / "final").string()) +
         next_commands(run, result, next);
}

int exit_code_of(const StopSignal& stop, const fs::path& checkpoint) {
  log_info("ended by {}; the same command goes on from {}", stop.name(), checkpoint.string());
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
  const RunLock lock(directory);
  attach_log_file(directory / "training.log");
  for (const std::string& line : run.set_aside) {
    log_info("{}", line);
  }
  remove_leftovers(directory, /*locked=*/true);
  remove_leftovers(directory / "data", /*locked=*/true);
  set_mapping_activity("training");
  RunRecord record;
  record.started = utc_now();
  const std::optional<ResumeChoice> start = choose_start(run.checkpoint);
  if (start) {
    keep_choices(run, start->checkpoint);
  }
  RunTokenizer tokenizer = choose_tokenizer(run, fields, start, stop_requested);
  settle_model(run, fields, tokenizer);
  const RunChatTemplate chat = choose_chat_template(run, *tokenizer.tokenizer, start);
  const RunData data =
      prepare_run_data(run.data, *tokenizer.tokenizer, directory,
                       static_cast<uint64_t>(run.runtime.seed), chat.format, stop_requested);
  log_info("data: {}", data.text());
  RunLoaders loaders = open_loaders(run, data, *tokenizer.tokenizer);
  const bool chats = add_chat_template(chat, data.train, tokenizer);
  const auto turn_end = chats ? chat.turn_end : std::nullopt;
  if (const auto file = write_generation_defaults(run, turn_end, directory)) {
    tokenizer.files.push_back(*file);
  }
  const std::unique_ptr<Transformer> model = make_model(run, key);
  record.parameters = parameter_count(run.model);
  log_info("model: {} parameters, {} on {}", human_count(record.parameters), run.training.precision,
           model->device().str());
  if (model->device().is_cpu()) log_info("kernels: {}", cpu_backend_text());

  TrainerSetup setup = trainer_setup(run, fields, tokenizer, loaders);
  setup.encryption_key = key;
  const std::string config_text = fields.to_yaml_with_comments();
  setup.identity.config_sha256 = sha256_hex(config_text);
  record.identity = setup.identity;
  setup.stop_requested = stop_requested;
  setup.on_step = verb.on_step;
  Trainer trainer(std::move(setup), *model);
  if (start) {
    resume(trainer, *start);
    remove_tree(directory / "final");  // of a shorter run; its checkpoint stays
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
    return exit_code_of(stop, record.training.last_checkpoint);
  }
  write_stdout(report(directory, record.training, data, run.training, verb.next));
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
