// llm finetune: a model and conversations, pairs or texts in, a model that has learnt them out.
#include <algorithm>

#include "apps/commands.h"
#include "apps/training_run.h"
#include "base/error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

struct FinetuneConfig {
  RunConfig run = finetune_defaults();
  bool packing = false;
  int64_t kill_at_step = 0;

  void fields(Fields& f) {
    run.fields(f);
    f("packing", packing,
      "Several documents in one row, none of which sees another (training.rows packed)")
        .flag("packing")
        .flag_only();
    f("kill_at_step", kill_at_step, "End the process with SIGKILL after this step", at_least(0))
        .flag_only()
        .hidden();
    f.show_only({"", "training", "optimizer", "scheduler", "checkpoint", "logging"});
    f.add_flag("model.use_gradient_checkpointing", "gradient-checkpointing");
    // Not those that train a tokenizer or make up stories.
    f.show_also({"model.use_gradient_checkpointing", "tokenizer.path", "data.path",
                 "data.validation_path", "data.val_fraction", "data.val_split", "data.format",
                 "data.split", "data.field", "data.skip_bad", "data.allow_invalid_utf8",
                 "data.add_bos", "data.chat_template", "data.train_on_prompt",
                 "data.use_lmsys_dataset", "data.shuffle", "data.workers"});
  }
};

void check_paths(const RunConfig& run) {
  check(!run.data.path.empty() || run.data.use_lmsys_dataset,
        "--data-path is required: conversations, pairs or texts (JSON Lines), or a dataset that "
        "prepare-data made");
  check(!run.checkpoint.model_path.empty(), "--model-path is required: the model to start from");
  const fs::path model = fs::weakly_canonical(run.checkpoint.model_path),
                 output = fs::weakly_canonical(run.checkpoint.output_dir);
  const bool inside =
      std::mismatch(output.begin(), output.end(), model.begin(), model.end()).first == output.end();
  check(!inside, "--output-dir '{}' is where the starting model lies; name another",
        run.checkpoint.output_dir);
}

int finetune(FinetuneConfig& config, const Fields& fields) {
  RunConfig& run = config.run;
  check_paths(run);
  if (config.packing) {
    const bool by_flag = fields.find("training.rows")->origin().kind == FieldOrigin::by_flag;
    check(!by_flag || run.training.rows == "packed",
          "--packing and --rows {} cannot be used together", run.training.rows);
    run.training.rows = "packed";
    run.data.shift_windows = true;  // rows of documents have none: as a file that says so must
  }
  return run_training(run, fields,
                      {.next = "llm chat {}", .on_step = kill_at(config.kill_at_step)});
}

}  // namespace

Command finetune_command() {
  return make_command<FinetuneConfig>(
      {.name = "finetune",
       .summary = "Teach a trained model conversations, pairs of prompt and response, or texts",
       .details =
           "Each document is a row of its own. Of conversations and pairs the model learns what "
           "the assistant says; they are rendered by its chat template,\n"
           "or by a plain one that it is then given. The same command again goes on where the run "
           "stopped.\n\n"
           "Example: llm finetune --model-path runs/first --data-path chats.jsonl --output-dir "
           "runs/chat\n"
           "         llm chat runs/chat"},
      finetune);
}

}  // namespace llm
