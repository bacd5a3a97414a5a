#include "training/training_config.h"

#include "base/config.h"

namespace llm {
namespace {
constexpr int64_t kMostSteps = int64_t{1} << 48;
constexpr int64_t kMostRows = 1048576;
}  // namespace

void TrainingConfig::fields(Fields& f) {
  f("objective", objective,
    "What is learnt: clm predicts the next token, mlm restores masked ones, diffusion restores any "
    "share of them",
    one_of({"clm", "mlm", "diffusion"}))
      .flag("objective");
  f("rows", rows,
    "What a row holds: windows over the running text, one of the documents, or packed, several of "
    "them that do not see each other",
    one_of({"windows", "documents", "packed"}))
      .flag("rows");
  f("batch_size", batch_size, "Rows of one micro-batch", in_range(1, kMostRows))
      .flag("batch-size")
      .alias("micro_batch_size")
      .alias("batch");
  f("gradient_accumulation_steps", gradient_accumulation_steps,
    "Micro-batches of one optimizer step", in_range(1, kMostRows))
      .flag("gradient-accumulation-steps");
  f("max_seq_length", max_seq_length, "Tokens of one row; unset = model.max_position_embeddings",
    in_range(2, 1 << 24))
      .flag("max-seq-length");
  f("epochs", epochs, "Passes over the data, where max_steps is not set", in_range(1, 1000000))
      .flag("epochs")
      .alias("num_epochs");
  f("max_steps", max_steps, "Optimizer steps; unset = as many as the epochs take",
    in_range(1, kMostSteps))
      .flag("max-steps")
      .alias("num_train_steps")
      .alias("steps");
  f("precision", precision,
    "auto = bf16-mixed where the device multiplies bf16 natively, else 32-true",
    one_of({"auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed"}))
      .flag("precision");
  f("max_grad_norm", max_grad_norm,
    "Global gradient norm above which gradients are scaled down; 0 = never", at_least(0))
      .flag("max-grad-norm");
  f("max_skipped_steps", max_skipped_steps,
    "Stop after so many steps in a row whose loss or gradient is not finite", in_range(1, 1000000));
  f("mlm_probability", mlm_probability, "Share of the positions that are targets under mlm",
    in_range(0.01L, 1));
  f("noise_schedule", noise_schedule,
    "How the masked share grows with time under diffusion: t, 1 - cos(pi t / 2) or the root of t",
    one_of({"linear", "cosine", "sqrt"}));
  f("eval_steps", eval_steps, "Validate every N steps; 0 = only at the end",
    in_range(0, kMostSteps))
      .flag("eval-steps")
      .alias("eval_interval");
  f("eval_batches", eval_batches, "Micro-batches of one validation; 0 = the whole validation set",
    in_range(0, kMostSteps))
      .flag("eval-batches");
  f("eval_length_factor", eval_length_factor,
    "Validate also on rows so many times as long as those of training; 1 = not", in_range(1, 64))
      .flag("eval-length-factor");
  f("early_stopping_patience", early_stopping_patience,
    "Stop after so many validations without gain; 0 = never", in_range(0, 1000000))
      .flag("early-stopping-patience");
  f("early_stopping_threshold", early_stopping_threshold,
    "A gain counts where the validation loss falls by more than this", at_least(0));
}

void OptimizerConfig::fields(Fields& f) {
  f("name", name, "Optimizer; muon updates hidden matrices and leaves the rest to AdamW",
    one_of({"adamw", "lion", "sgd", "adafactor", "muon"}))
      .flag("optimizer-name")
      .alias("optimizer");
  f("learning_rate", learning_rate, "Peak learning rate, reached after warm-up", in_range(0, 1))
      .flag("learning-rate")
      .alias("lr");
  f("weight_decay", weight_decay,
    "Decoupled weight decay of matrices and embeddings (never of norms and biases)",
    in_range(0, 10))
      .flag("weight-decay");
  f("decay_embeddings", decay_embeddings,
    "Whether weight decay applies to embeddings and the output head");
  f("betas", betas,
    "Averaging factors of gradient and squared gradient (adamw, lion, muon's AdamW part)",
    in_range(0, 0.999999L));
  f("epsilon", epsilon, "Added to the root of the second moment (adamw)", in_range(0, 1))
      .alias("eps");
  f("momentum", momentum, "Momentum of sgd", in_range(0, 0.999999L));
  f("nesterov", nesterov, "Nesterov's form of momentum (sgd)");
  f("muon_momentum", muon_momentum, "Momentum of muon", in_range(0, 0.999999L));
  f("muon_iterations", muon_iterations, "Newton-Schulz iterations of muon", in_range(1, 20));
  f("adafactor_decay_rate", adafactor_decay_rate,
    "Second-moment factor of adafactor at update t is 1 - t^-rate", in_range(0.01L, 1));
  f("adafactor_clip_threshold", adafactor_clip_threshold,
    "Root mean square above which adafactor scales an update down", more_than(0));
  f.cross_check("betas", [this] {
    return betas.size() == 2 ? std::string() : "betas takes two numbers, for example 0.9, 0.95";
  });
}

void SchedulerConfig::fields(Fields& f) {
  f("name", name,
    "Shape of the learning rate after warm-up; wsd holds the peak and decays at the end",
    one_of({"cosine", "linear", "polynomial", "constant", "wsd"}))
      .flag("lr-scheduler")
      .alias("lr_scheduler");
  f("warmup_steps", warmup_steps, "Steps until the peak; unset = a tenth of the run, at most 2000",
    in_range(0, kMostSteps))
      .flag("warmup-steps");
  f("min_lr_ratio", min_lr_ratio, "Learning rate of the last step as a share of the peak",
    in_range(0, 1));
  f("power", power, "Exponent of the polynomial shape", in_range(0.01L, 100));
  f("decay_fraction", decay_fraction, "Share of the run over which wsd decays", in_range(0, 1));
}

void CheckpointConfig::fields(Fields& f) {
  f("output_dir", output_dir, "Run directory", non_empty()).flag("output-dir").value_name("DIR");
  f("save_steps", save_steps,
    "Save every N steps, at better validations and at the end; 0 = without the first",
    in_range(0, kMostSteps))
      .flag("save-steps")
      .alias("save_interval");
  f("save_epochs", save_epochs, "Save every N epochs; 0 = by steps only", in_range(0, 1000000))
      .flag("save-epochs");
  f("keep_last", keep_last, "Newest checkpoints to keep beside the best; 0 = all",
    in_range(0, 1000000))
      .flag("keep-last")
      .alias("save_total_limit");
  f("resume_from_checkpoint", resume_from_checkpoint,
    "auto = the newest good checkpoint of the run directory, never, or the path of one",
    non_empty())
      .flag("resume-from-checkpoint")
      .alias("resume");
  f("model_path", model_path,
    "Model to start from: a run, checkpoint or model directory; empty = from scratch")
      .flag("model-path")
      .value_name("DIR");
  f("resize_embeddings", resize_embeddings,
    "With --model-path: as many embedding rows as the tokenizer has pieces; old rows stay")
      .flag("resize-embeddings");
  f("reset_optimizer", reset_optimizer, "On resume: take the weights and start the optimizer anew")
      .flag("reset-optimizer");
  f("allow_data_change", allow_data_change, "On resume: go on with other data, from its beginning")
      .flag("allow-data-change");
  f("force", force,
    "With --resume-from-checkpoint never: remove what an earlier run left in the run directory")
      .flag("force")
      .flag_only();
}

void MetricsConfig::fields(Fields& f) {
  f("logging_steps", logging_steps, "A log line and a row of metrics every N steps",
    in_range(1, kMostSteps))
      .flag("logging-steps")
      .alias("log_steps");
  f("gradient_norm_steps", gradient_norm_steps,
    "Gradient norms layer by layer every N steps; 0 = never", in_range(0, kMostSteps));
  f("csv", csv, "Write metrics.csv beside metrics.jsonl");
  f("tensorboard", tensorboard, "Write TensorBoard event files");
}

void validate(const TrainingConfig& training, const OptimizerConfig& optimizer,
              const SchedulerConfig& scheduler, int64_t total_steps) {
  check(total_steps > 0, "training.max_steps: the run has no steps");
  check(optimizer.betas.size() == 2, "optimizer.betas takes two numbers, got {}",
        optimizer.betas.size());
  const int64_t warmup = scheduler.warmup_steps.value_or(0);
  if (warmup > total_steps) {
    fail(Exit::usage,
         fmt::format("scheduler.warmup_steps ({}) exceeds the {} steps of the run", warmup,
                     total_steps),
         "lower --warmup-steps, or leave it out: a tenth of the run is used then");
  }
  check(training.early_stopping_patience == 0 || training.eval_steps > 0,
        "training.early_stopping_patience is {}, but training.eval_steps is 0: nothing would be "
        "validated during the run",
        training.early_stopping_patience);
}

}  // namespace llm
