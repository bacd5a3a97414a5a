#include "apps/training_run.h"

#include <csignal>

#include "apps/generation_defaults.h"
#include "apps/run_chat_template.h"
#include "apps/run_directory.h"
#include "apps/run_model.h"
#include "apps/run_record.h"
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

/// The resolved config, in RUN for repeating the run; its hash names it.
std::string write_config(const fs::path& run, const Fields& fields) {
  const std::string text = fields.to_yaml_with_comments();
  write_file_atomically(run / "config.yaml", text);
  return sha256_hex(text);
}

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

std::string report(const fs::path& run, const TrainingResult& result, const RunData& data,
                   const TrainingConfig& training, const std::string& next) {
  std::string text =
      fmt::format("Trained {} steps on {} tokens; last loss {:.4f}\n", format_count(result.steps),
                  format_count(result.tokens), result.loss);
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
  text += fmt::format(
      "Model: {}\nNext:\n  {}\n  llm inspect {} --plot loss.svg\n  llm pretrain --config {} "
      "--output-dir {} --max-steps {}\n",
      (run / "final").string(), fmt::format(fmt::runtime(next), run.string()), run.string(),
      (run / "config.yaml").string(), run.string(), 2 * result.steps);
  return text;
}

int exit_code_of(const StopSignal& stop, const fs::path& checkpoint) {
  log_info("ended by {}; the same command goes on from {}", stop.name(), checkpoint.string());
  return stop.exit_code();
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

int run_training(RunConfig& run, const Fields& fields, const TrainingVerb& verb) {
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
  RunTokenizer tokenizer = choose_tokenizer(run, fields, start);
  settle_model(run, fields, tokenizer);
  const RunChatTemplate chat = choose_chat_template(run, *tokenizer.tokenizer, start);
  const RunData data = prepare_run_data(run.data, *tokenizer.tokenizer, directory,
                                        static_cast<uint64_t>(run.runtime.seed), chat.format);
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
  setup.identity.config_sha256 = sha256_hex(fields.to_yaml());
  record.identity = setup.identity;
  const StopSignal stop;
  setup.stop_requested = [&] { return stop.requested(); };
  setup.on_step = verb.on_step;
  Trainer trainer(std::move(setup), *model);
  if (start) {
    resume(trainer, *start);
    remove_tree(directory / "final");  // of a shorter run; its checkpoint stays
  }
  write_config(directory, fields);
  run_directory.keep();
  record.seed = run.runtime.seed;
  record.threads = run.runtime.threads;
  record.device = model->device().str();
  record.precision = run.training.precision;
  record.kernels = training_kernels(model->device());
  record.resumed_from = start ? start->checkpoint.string() : "";
  record.entropy_nats_per_token = data.entropy_nats_per_token;
  record.result = "running";
  write_run_record(directory, record);

  record.training = trainer.train();
  record.finished = utc_now();
  record.result = record.training.reason == StopReason::finished ? "finished"
                  : record.training.reason == StopReason::signal ? "signal"
                                                                 : "early_stopping";
  write_run_record(directory, record);
  if (record.training.reason == StopReason::signal) {
    return exit_code_of(stop, record.training.last_checkpoint);
  }
  save_final(directory, *model, tokenizer.files, key);
  write_stdout(report(directory, record.training, data, run.training, verb.next));
  return 0;
}

}  // namespace llm
