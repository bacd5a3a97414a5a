// llm pretrain: text or tokens in, a run directory with a trained model out.
#include <csignal>

#include "apps/commands.h"
#include "apps/generation_defaults.h"
#include "apps/pretraining.h"
#include "apps/run_directory.h"
#include "apps/run_record.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/number_text.h"
#include "base/sha256.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/model_size.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

struct PretrainConfig {
  RunConfig run = pretrain_defaults();
  int64_t kill_at_step = 0;

  void fields(Fields& f) {
    run.fields(f);
    f("kill_at_step", kill_at_step,
      "End the process with SIGKILL after this step; resume-check uses it", at_least(0))
        .flag_only()
        .hidden();
    f.show_only(
        {"", "tokenizer", "data", "training", "optimizer", "scheduler", "checkpoint", "logging"});
    f.add_flag("model.use_gradient_checkpointing", "gradient-checkpointing");
    f.show_also({"model.use_gradient_checkpointing"});
  }
};

void warn_about_learning_rate(const RunConfig& config, const Fields& fields) {
  if (config.checkpoint.model_path.empty() && !fields.is_set("optimizer.learning_rate")) {
    log_warn(
        "learning rate {} suits going on from a trained model; a model from scratch learns little "
        "with it (--learning-rate 3e-4, for example)",
        format_number(config.optimizer.learning_rate));
  }
}

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

std::string report(const fs::path& run, const TrainingResult& result, const RunData& data) {
  std::string text =
      fmt::format("Trained {} steps on {} tokens; last loss {:.4f}\n", format_count(result.steps),
                  format_count(result.tokens), result.loss);
  if (result.validation) {
    const LossTotals& v = *result.validation;
    text += fmt::format(
        "Validation loss {:.4f} nats per token (perplexity {:.2f}, {:.4f} bits per byte, "
        "next-token accuracy {:.1f} %)\n",
        v.loss(), v.perplexity(), v.bits_per_byte(), 100 * v.accuracy());
    if (data.synthetic) {
      text += fmt::format(
          "Exact entropy of the built-in stories: {:.4f} nats per token; no model can do better\n",
          data.entropy_nats_per_token);
    }
  }
  text += fmt::format(
      "Model: {}\nNext:\n  llm generate --model-path {} --prompt \"Once\"\n  llm inspect {} --plot "
      "loss.svg\n  llm pretrain --config {} --output-dir {} --max-steps {}\n",
      (run / "final").string(), run.string(), run.string(), (run / "config.yaml").string(),
      run.string(), 2 * result.steps);
  return text;
}

int exit_code_of(const StopSignal& stop, const fs::path& checkpoint) {
  log_info("ended by {}; the same command goes on from {}", stop.name(), checkpoint.string());
  return stop.exit_code();
}

int pretrain(PretrainConfig& config, const Fields& fields) {
  RunConfig& run = config.run;
  RunDirectory run_directory(run.checkpoint.output_dir);
  const fs::path& directory = run_directory.path();
  const RunLock lock(directory);
  attach_log_file(directory / "training.log");
  remove_leftovers(directory, /*locked=*/true);
  set_mapping_activity("training");
  RunRecord record;
  record.started = utc_now();
  const std::optional<ResumeChoice> start = choose_start(run.checkpoint);
  RunTokenizer tokenizer = choose_tokenizer(run, fields, start);
  settle_model(run, fields, tokenizer);
  if (const auto file = write_generation_defaults(run, directory)) tokenizer.files.push_back(*file);
  warn_about_learning_rate(run, fields);
  const RunData data = prepare_run_data(run.data, *tokenizer.tokenizer, directory,
                                        static_cast<uint64_t>(run.runtime.seed));
  log_info("data: {}", data.text());
  RunLoaders loaders = open_loaders(run, data, *tokenizer.tokenizer);
  const std::unique_ptr<Transformer> model = make_model(run);
  record.parameters = parameter_count(run.model);
  log_info("model: {} parameters, {} on {}", human_count(record.parameters), run.training.precision,
           model->device().str());

  TrainerSetup setup = trainer_setup(run, tokenizer, loaders);
  setup.identity.config_sha256 = sha256_hex(fields.to_yaml());
  record.identity = setup.identity;
  const StopSignal stop;
  setup.stop_requested = [&] { return stop.requested(); };
  if (config.kill_at_step > 0) {
    setup.on_step = [&](int64_t step) {
      if (step == config.kill_at_step) {
        std::raise(SIGKILL);
      }
    };
  }
  Trainer trainer(std::move(setup), *model);
  if (start) {
    resume(trainer, *start);
  }
  write_config(directory, fields);
  run_directory.keep();
  record.seed = run.runtime.seed;
  record.threads = run.runtime.threads;
  record.device = model->device().str();
  record.precision = run.training.precision;
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
  save_final(directory, *model, tokenizer.files);
  write_stdout(report(directory, record.training, data));
  return 0;
}

}  // namespace

Command pretrain_command() {
  return make_command<PretrainConfig>(
      {.name = "pretrain",
       .aliases = {"train"},
       .summary = "Train a model from scratch, or go on from one",
       .details = "With no data given it learns the built-in stories. Text and JSON Lines are "
                  "prepared into the run directory, with a tokenizer of its own\n"
                  "unless one is named. The same command again goes on where the run stopped.\n\n"
                  "Example: llm pretrain --config mini.yaml --data-path texts.txt --output-dir "
                  "runs/first"},
      pretrain);
}

}  // namespace llm
