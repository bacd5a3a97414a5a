// The run-config sections that belong to training: training, optimizer, scheduler, checkpoint,
// logging.
//
// Defaults of these structs are the reference's TrainingConfig (learning rate 3e-4, 100000 steps,
// warm-up 2000, AdamW 0.9/0.95 ...); a verb that promises other defaults (pretrain: learning rate
// 1e-5, one epoch) sets them before file, environment and flags are read. Steps always count
// optimizer steps. Plain data, no torch. Rules that need more than one key are in validate(), which
// throws Error(usage) naming the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace llm {

class Fields;

struct TrainingConfig {
  std::string objective = "clm";            // clm, mlm, diffusion
  std::string rows = "windows";             // windows, documents, packed
  int64_t batch_size = 8;                   // rows of one micro-batch
  int64_t gradient_accumulation_steps = 4;  // micro-batches of one step
  std::optional<int64_t> max_seq_length;    // unset: the model's max_position_embeddings
  int64_t epochs = 1;                       // used where max_steps is unset
  std::optional<int64_t> max_steps = 100000;
  std::string precision = "auto";  // auto, 32-true, bf16-mixed, bf16-true, 16-mixed
  double max_grad_norm = 1.0;      // 0 = no clipping
  int64_t max_skipped_steps = 10;  // stop (exit 5) after so many non-finite steps in a row
  double mlm_probability = 0.15;
  std::string noise_schedule = "cosine";  // diffusion: linear, cosine, sqrt
  int64_t eval_steps = 1000;              // 0 = only at the end
  int64_t eval_batches =
      0;  // at most so many micro-batches per evaluation; 0 = the whole validation set
  int64_t eval_length_factor = 1;       // also on rows so many times as long; 1 = not
  int64_t early_stopping_patience = 0;  // evaluations without gain; 0 = off
  double early_stopping_threshold = 1e-4;

  void fields(Fields& f);
  int64_t rows_per_step() const { return batch_size * gradient_accumulation_steps; }
  /// mlm, diffusion: by a model that looks both ways.
  bool restores_masked() const { return objective != "clm"; }
};

struct OptimizerConfig {
  std::string name = "adamw";  // adamw, lion, sgd, adafactor, muon
  double learning_rate = 3e-4;
  double weight_decay =
      0.1;  // decoupled; applies to matrices and embeddings, never to norms and biases
  bool decay_embeddings = true;
  std::vector<double> betas = {0.9, 0.95};
  double epsilon = 1e-8;
  double momentum = 0.9;  // sgd; muon uses muon_momentum
  bool nesterov = false;  // sgd
  double muon_momentum = 0.95;
  int64_t muon_iterations = 5;
  double adafactor_decay_rate = 0.8;
  double adafactor_clip_threshold = 1.0;

  void fields(Fields& f);
};

struct SchedulerConfig {
  std::string name = "cosine";                 // cosine, linear, polynomial, constant, wsd
  std::optional<int64_t> warmup_steps = 2000;  // unset: a tenth of the run, at most 2000
  double min_lr_ratio = 0.1;                   // of the peak, reached at the last step
  double power = 2.0;                          // polynomial
  double decay_fraction = 0.2;                 // wsd: share of the run that decays

  void fields(Fields& f);
};

struct CheckpointConfig {
  std::string output_dir = "checkpoints";
  int64_t save_steps = 5000;  // 0 = only at the end
  int64_t save_epochs = 0;
  int64_t keep_last = 3;                        // 0 = keep all; the best one is always kept
  std::string resume_from_checkpoint = "auto";  // auto, never, PATH
  std::string model_path;                       // weights to start from; empty = from scratch
  bool resize_embeddings = false;  // give that model as many rows as the tokenizer has pieces
  bool reset_optimizer = false;
  bool allow_data_change = false;
  bool force = false;  // with never: remove what the run directory holds of an earlier run

  void fields(Fields& f);
};

struct MetricsConfig {
  int64_t logging_steps = 10;
  int64_t gradient_norm_steps = 100;  // per-layer gradient norms; 0 = never
  bool csv = true;
  bool tensorboard = true;

  void fields(Fields& f);
};

/// Rules across keys. `total_steps` is the resolved length of the run.
void validate(const TrainingConfig& training, const OptimizerConfig& optimizer,
              const SchedulerConfig& scheduler, int64_t total_steps);

}  // namespace llm
