// Saving and resuming: between the trainer's counters and tensors and the files of a checkpoint.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/path_queries.h"
#include "base/sealed_file.h"
#include "base/sha256.h"
#include "model/model_io.h"
#include "training/trainer_core.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptimizerFile = "training_state/optimizer.safetensors";

void write_optimizer(Optimizer& optimizer, const fs::path& checkpoint, const EncryptionKey& key) {
  TensorMap tensors;
  for (const OptimizerTensor& state : optimizer.state()) {
    tensors.emplace_back(state.name, state.tensor);
  }
  save_tensors(checkpoint / kOptimizerFile, tensors, {{"optimizer", optimizer.name()}}, key);
}

void read_optimizer(Optimizer& optimizer, const fs::path& checkpoint, const EncryptionKey& key) {
  const at::NoGradGuard no_grad;
  const TensorFile file = map_tensors(checkpoint / kOptimizerFile, key);
  const std::string where = checkpoint.filename().string() + "/" + kOptimizerFile;
  const std::vector<OptimizerTensor> wanted = optimizer.state();
  for (const OptimizerTensor& state : wanted) {
    const auto found = file.tensors.find(state.name);
    check_input(found != file.tensors.end(), "{}: tensor '{}' is missing", where, state.name);
    const at::Tensor& saved = found->second;
    check_input(
        saved.sizes() == state.tensor.sizes() && saved.scalar_type() == state.tensor.scalar_type(),
        "{}: tensor '{}' has another shape or dtype", where, state.name);
    state.tensor.copy_(saved);
  }
  check_input(file.tensors.size() == wanted.size(), "{}: {} tensors, the optimizer has {}", where,
              file.tensors.size(), wanted.size());
}

int64_t bytes_of_checkpoint(const Transformer& model, Optimizer& optimizer,
                            const std::vector<fs::path>& files) {
  uint64_t bytes = model.flat_parameters().nbytes() + (1u << 16);
  for (const OptimizerTensor& state : optimizer.state()) {
    bytes += state.tensor.nbytes();
  }
  for (const fs::path& file : files) {
    bytes += fs::file_size(file);
  }
  return static_cast<int64_t>(bytes);
}

/// Names what a validation is measured on: two losses are compared only where it is the same.
std::string validated_sha256(const TrainerSetup& setup, int64_t rows) {
  const TrainingConfig& training = setup.training;
  const bool drawn = training.objective != "clm";  // targets by the seed
  return sha256_hex(fmt::format("{} {} {} {} {} {} {} {}", setup.identity.validation_sha256, rows,
                                training.rows, training.max_seq_length.value_or(0),
                                training.objective, drawn ? training.mlm_probability : 0,
                                drawn ? training.noise_schedule : "", drawn ? setup.seed : 0));
}

std::string setting(const TrainingState& state, const std::string& key) {
  const auto found = state.settings.find(key);
  return found == state.settings.end() ? "" : found->second;
}

}  // namespace

TrainingState Trainer::Core::state() const {
  TrainingState s;
  s.step = step;
  s.epoch = epoch();
  s.row = row;
  s.tokens = tokens;
  s.skipped_steps = skipped_steps;
  s.skipped_in_a_row = skipped_in_a_row;
  s.optimizer_name = optimizer->name();
  s.optimizer_updates = optimizer->updates;
  s.schedule_name = schedule.config.name;
  s.schedule_peak = schedule.peak;
  s.warmup_steps = schedule.warmup_steps;
  s.total_steps = setup.total_steps;
  s.scale = scale;
  s.seed = setup.seed;
  s.best = best;
  s.early_stopping_reference = early_stopping_reference;
  s.evaluations_without_gain = evaluations_without_gain;
  s.last_loss = last_loss;
  s.last_validation = last_validation;
  s.last_long_validation = last_long_validation;
  if (setup.validation) {
    s.validated =
        validated_sha256(setup, validated_rows(setup.validation_rows, setup.training.batch_size));
  }
  s.identity = setup.identity;
  s.precision = precision.name;
  s.kernels = training_kernels(model.device());
  s.threads = at::get_num_threads();
  s.settings = settings_of(setup.training, setup.optimizer, setup.scheduler);
  s.settings.insert(setup.data_settings.begin(), setup.data_settings.end());
  return s;
}

std::vector<std::string> Trainer::Core::resume(const fs::path& checkpoint) {
  const TrainingState saved = read_training_state(checkpoint);
  std::vector<std::string> changes = compare_models(load_model_config(checkpoint), model.config());
  const TrainingState now = state();
  const std::vector<std::string> others =
      compare_states(saved, now, setup.checkpoint, setup.may_be_complete);
  changes.insert(changes.end(), others.begin(), others.end());
  load_weights(model, checkpoint, /*check_finite=*/true, setup.encryption_key);
  if (model.flat_compute_copy().defined()) {
    model.refresh_compute_copy();
  }
  if (setup.checkpoint.reset_optimizer) {
    changes.push_back("the optimizer starts anew");
  } else {
    read_optimizer(*optimizer, checkpoint, setup.encryption_key);
    optimizer->updates = saved.optimizer_updates;
  }
  if (setup.encryption_key && !is_sealed(checkpoint / kOptimizerFile)) {
    changes.push_back("encrypted from the next checkpoint on; those before it stay as they are");
  }
  const std::string other_kernels = compare_kernels(saved, now, checkpoint.filename().string());
  if (!other_kernels.empty()) {
    log_warn("{}", other_kernels);
  }
  step = saved.step;
  row = saved.row;
  if (begins_data_anew(saved, setup.identity, setup.seed)) {
    row = 0;
    changes.push_back("other data: taken from its beginning");
  }
  tokens = saved.tokens;
  last_loss = saved.last_loss;
  skipped_steps = saved.skipped_steps;
  skipped_in_a_row = saved.skipped_in_a_row;
  if (scale.enabled && saved.scale.enabled) {
    scale = saved.scale;
  }
  if (saved.validated.empty() || saved.validated == now.validated) {
    best = saved.best;
    early_stopping_reference = saved.early_stopping_reference;
    evaluations_without_gain = saved.evaluations_without_gain;
    last_validation = saved.last_validation;
    const char* const longer = "training.eval_length_factor";
    if (setup.long_validation && setting(saved, longer) == setting(now, longer))
      last_long_validation = saved.last_long_validation;
  } else if (saved.best) {
    changes.push_back(
        "validation is on other data: what is best is asked anew, and patience with it");
  }
  resumed_step = saved_step = validated_step = step;
  last_checkpoint = checkpoint;
  if (setup.run_directory.empty()) return changes;
  const auto best_step = saved.best ? std::optional(saved.best->step) : std::nullopt;
  for (const std::string& name :
       abandon_later_checkpoints(setup.run_directory, checkpoint, best_step))
    changes.push_back(fmt::format("{}: of a line that this run leaves", name));
  const fs::path own = setup.run_directory / checkpoint_name(step);
  if (are_same(checkpoint, own))
    finish_save(setup.run_directory, own, best_step == step, setup.checkpoint.keep_last);
  return changes;
}

/// A checkpoint with NaN weights would be worse than none: it would push out the good ones.
void Trainer::Core::check_weights() const {
  if (std::isfinite(sum_of_squares(model.flat_parameters()))) {
    return;
  }
  for (const Parameter& parameter : model.named_parameters()) {
    if (!std::isfinite(sum_of_squares(
            model.flat_parameters().narrow(0, parameter.offset, parameter.tensor.numel())))) {
      const std::string kept = last_checkpoint.empty()
                                   ? "no checkpoint was saved"
                                   : last_checkpoint.filename().string() + " is intact";
      fail(Exit::numerical,
           fmt::format("{} is no longer finite at step {}; {}", parameter.name, step, kept));
    }
  }
}

fs::path Trainer::Core::save() {
  check_weights();
  const std::vector<CheckpointPart> parts = {
      [&](const fs::path& directory) {
        save_model(model, directory, {.key = setup.encryption_key});
      },
      copy_of(setup.model_files),
      [&](const fs::path& directory) {
        make_directories(directory / "training_state");
        write_optimizer(*optimizer, directory, setup.encryption_key);
        write_training_state(directory, state());
      },
  };
  const fs::path& run = setup.run_directory;
  if (metrics) metrics->sync();
  last_checkpoint = llm::save_checkpoint(run, step, parts,
                                         bytes_of_checkpoint(model, *optimizer, setup.model_files));
  saved_step = step;
  finish_save(run, last_checkpoint, best && best->step == step, setup.checkpoint.keep_last);
  log_info("saved {}", last_checkpoint.string());
  if (setup.on_checkpoint) {
    setup.on_checkpoint(last_checkpoint);
  }
  return last_checkpoint;
}

fs::path save_final(const fs::path& run, const Transformer& model,
                    const std::vector<fs::path>& model_files, const EncryptionKey& key) {
  const fs::path target = run / "final";
  AtomicDirectory directory(target, model.flat_parameters().nbytes() + (1u << 16),
                            "the checkpoints are intact");
  save_model(model, directory.temporary(), {.key = key});
  copy_of(model_files)(directory.temporary());
  directory.commit();
  return target;
}

}  // namespace llm
