// The table of run_rules.h.
#include "apps/data_rules.h"
#include "apps/run_config.h"
#include "apps/run_rules.h"
#include "apps/tokenizer_settings.h"

namespace llm {
namespace {

template <typename... Names>
bool is_one_of(const std::string& value, const Names&... names) {
  return ((value == names) || ...);
}

bool dtype_differs(const RunConfig& c) {
  const std::string& precision = c.training.precision;
  const char* dtype = precision == "32-true"    ? "float32"
                      : precision == "16-mixed" ? "float16"
                                                : "bfloat16";
  return precision != "auto" && c.runtime.dtype != dtype;
}

using Rules = std::vector<RunRule>;

/// longrope brings factors of its own, yarn may scale the scores alone.
Rules rope_rules() {
  return {{{"model.rope_scaling.rope_type"},
           {"model.rope_scaling.factor"},
           [](const RunConfig& c) {
             const RopeScalingConfig& rope = c.model.rope_scaling;
             return rope.factor == 1.0 && !rope.attention_factor;
           },
           "",
           "a factor above 1 is how many times longer the context becomes",
           {"longrope"},
           FieldOrigin::by_environment}};
}

Rules optimizer_rules() {
  const auto other_than = [](auto... names) {
    return [=](const RunConfig& c) { return !is_one_of(c.optimizer.name, names...); };
  };
  return {
      {{"optimizer.betas"},
       {"optimizer.name"},
       other_than("adamw", "lion", "muon"),
       "",
       "adamw, lion and muon read it"},
      {{"optimizer.epsilon"},
       {"optimizer.name"},
       other_than("adamw", "muon"),
       "",
       "adamw and muon read it"},
      {{"optimizer.momentum", "optimizer.nesterov"},
       {"optimizer.name"},
       other_than("sgd"),
       "",
       "sgd reads it"},
      {{"optimizer.nesterov"},
       {"optimizer.momentum"},
       [](const RunConfig& c) { return c.optimizer.momentum == 0; },
       "",
       "it is a form of momentum"},
      {{"optimizer.muon_momentum", "optimizer.muon_iterations"},
       {"optimizer.name"},
       other_than("muon"),
       "",
       "muon reads it"},
      {{"optimizer.adafactor_decay_rate", "optimizer.adafactor_clip_threshold"},
       {"optimizer.name"},
       other_than("adafactor"),
       "",
       "adafactor reads it"},
      {{"optimizer.decay_embeddings"},
       {"optimizer.weight_decay"},
       [](const RunConfig& c) { return c.optimizer.weight_decay == 0; },
       "",
       "it chooses what --weight-decay above 0 applies to"},
      {{"scheduler.min_lr_ratio"},
       {"scheduler.name"},
       [](const RunConfig& c) { return c.scheduler.name == "constant"; },
       "",
       "every other schedule reads it"},
      {{"scheduler.min_lr_ratio"},
       {"scheduler.decay_fraction"},
       [](const RunConfig& c) {
         return c.scheduler.name == "wsd" && c.scheduler.decay_fraction == 0;
       },
       "",
       "the learning rate falls to it where --scheduler.decay_fraction is above 0"},
      {{"scheduler.power"},
       {"scheduler.name"},
       [](const RunConfig& c) { return c.scheduler.name != "polynomial"; },
       "",
       "polynomial reads it"},
      {{"scheduler.decay_fraction"},
       {"scheduler.name"},
       [](const RunConfig& c) { return c.scheduler.name != "wsd"; },
       "",
       "wsd reads it"},
  };
}

Rules training_rules() {
  return {
      {{"training.epochs"},
       {"training.max_steps"},
       [](const RunConfig& c) { return c.training.max_steps.has_value(); },
       "",
       "--max-steps auto lets the epochs decide"},
      {{"training.mlm_probability"},
       {"training.objective"},
       [](const RunConfig& c) { return c.training.objective != "mlm"; },
       "",
       "mlm reads it"},
      {{"training.noise_schedule"},
       {"training.objective"},
       [](const RunConfig& c) { return c.training.objective != "diffusion"; },
       "",
       "diffusion reads it"},
      {{"training.early_stopping_patience"},
       {"data.path", "data.validation_path", "data.val_fraction"},
       [](const RunConfig& c) { return !has_validation(c); },
       "without validation data",
       "--validation-path, or --val-fraction above 0 for texts"},
      {{"training.eval_steps", "training.eval_batches"},
       {"data.path", "data.validation_path", "data.val_fraction"},
       [](const RunConfig& c) { return !has_validation(c); },
       "without validation data",
       "--validation-path, or --val-fraction above 0 for texts",
       {"0"}},
      {{"training.eval_length_factor"},
       {"data.path", "data.validation_path", "data.val_fraction"},
       [](const RunConfig& c) { return !has_validation(c); },
       "without validation data",
       "--validation-path, or --val-fraction above 0 for texts"},
      {{"training.eval_length_factor"},
       {"training.rows"},
       [](const RunConfig& c) { return c.training.rows != "windows"; },
       "",
       "rows of whole documents are as long as those are"},
      {{"training.early_stopping_patience"},
       {"training.eval_steps"},
       [](const RunConfig& c) { return c.training.eval_steps == 0; },
       "",
       "--eval-steps above 0 validates during the run"},
      {{"training.early_stopping_threshold"},
       {"training.early_stopping_patience"},
       [](const RunConfig& c) { return c.training.early_stopping_patience == 0; },
       "",
       "--early-stopping-patience above 0 reads it"},
      {{"checkpoint.resize_embeddings"},
       {"checkpoint.model_path"},
       [](const RunConfig& c) { return c.checkpoint.model_path.empty(); },
       "without checkpoint.model_path",
       "a model from scratch has as many embedding rows as its tokenizer has pieces"},
      {{"checkpoint.reset_optimizer", "checkpoint.allow_data_change"},
       {"checkpoint.resume_from_checkpoint"},
       [](const RunConfig& c) { return c.checkpoint.resume_from_checkpoint == "never"; },
       "",
       "it is about going on with a run"},
      {{"checkpoint.force"},
       {"checkpoint.resume_from_checkpoint"},
       [](const RunConfig& c) { return c.checkpoint.resume_from_checkpoint != "never"; },
       "",
       "--resume-from-checkpoint never starts over"},
      {{"dtype"}, {"training.precision"}, dtype_differs, "", "the precision decides"},
  };
}

Rules tokenizer_rules() {
  const std::vector<std::string> training = {
      "tokenizer.vocab_size", "tokenizer.model_type", "tokenizer.byte_fallback",
      "tokenizer.character_coverage", "tokenizer.max_sentences"};
  return {
      {training,
       {"tokenizer.path"},
       [](const RunConfig& c) { return !c.tokenizer.path.empty(); },
       "",
       "it is for training a tokenizer on the run's text"},
      {training,
       {"checkpoint.model_path"},
       [](const RunConfig& c) { return !c.checkpoint.model_path.empty(); },
       "",
       "the model's own tokenizer is taken"},
      byte_bpe_rule<RunConfig>(),
  };
}

}  // namespace

const std::vector<RunRule>& run_rules() {
  static const Rules rules =
      joined({rope_rules(), optimizer_rules(), training_rules(), tokenizer_rules(), data_rules()});
  return rules;
}

Rules joined(std::initializer_list<Rules> tables) {
  Rules all;
  for (const Rules& table : tables) all.insert(all.end(), table.begin(), table.end());
  return all;
}

}  // namespace llm
