// llm pretrain: text or tokens in, a run directory with a trained model out.
#include "apps/commands.h"
#include "apps/training_run.h"
#include "base/log.h"
#include "base/number_text.h"

namespace llm {
namespace {

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

int pretrain(PretrainConfig& config, const Fields& fields) {
  warn_about_learning_rate(config.run, fields);
  return run_training(config.run, fields,
                      {.next = "llm generate --model-path {} --prompt \"Once\"",
                       .on_step = kill_at(config.kill_at_step)});
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
