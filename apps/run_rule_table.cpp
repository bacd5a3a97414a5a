// The table of run_rules.h.
#include <algorithm>

#include "apps/run_config.h"
#include "apps/run_rules.h"
#include "apps/tokenizer_settings.h"
#include "data/chat_format.h"
#include "data/token_file.h"

namespace llm {
namespace {

template <typename... Names>
bool is_one_of(const std::string& value, const Names&... names) {
  return ((value == names) || ...);
}

/// The training data lies there as tokens.
bool is_prepared(const RunConfig& c) {
  return std::any_of(c.data.path.begin(), c.data.path.end(),
                     [](const std::string& path) { return path != "-" && is_token_file(path); });
}

bool reads_only_tokens(const RunConfig& c) {
  const std::string& validation = c.data.validation_path;
  return is_prepared(c) && (validation.empty() || is_token_file(validation));
}

bool has_validation(const RunConfig& c) {
  if (tells_stories(c)) return c.data.text.val_fraction > 0;
  if (!c.data.validation_path.empty()) return true;
  return is_prepared(c) ? is_token_file(validation_prefix(token_file_prefix(c.data.path[0])))
                        : c.data.text.val_fraction > 0;
}

bool reads_json_rows(const RunConfig& c) {
  return c.data.use_lmsys_dataset || !is_one_of(c.data.text.format, "auto", "text");
}

bool reads_lines(const RunConfig& c) {
  return c.data.text.format == "text" && !c.data.use_lmsys_dataset;
}

bool reads_one_field(const RunConfig& c) { return !c.data.text.field.empty(); }

/// The dataset knows a chat template, with which one that is named must agree.
bool keeps_template(const RunConfig& c) {
  return std::filesystem::exists(dataset_template_path(token_file_prefix(c.data.path[0])));
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

/// What chats become: files may hold what a run chose for itself and wrote into its config.
Rules chat_rules() {
  const std::string chats = "data.chat_template";
  return {
      {{"data.add_bos"},
       {"data.path", "data.validation_path"},
       reads_only_tokens,
       "with a prepared dataset",
       "give it to prepare-data",
       {},
       FieldOrigin::by_environment},
      {{chats},
       {"data.path", "data.validation_path"},
       [](const RunConfig& c) { return reads_only_tokens(c) && !keeps_template(c); },
       "with a prepared dataset",
       "give it to prepare-data",
       {"none"},
       FieldOrigin::by_environment},
      {{chats},
       {"data.format"},
       reads_lines,
       "",
       "it is about rows of JSON",
       {"none"},
       FieldOrigin::by_environment},
      {{chats},
       {"data.field"},
       reads_one_field,
       "",
       "the text of one field is no conversation",
       {"none"},
       FieldOrigin::by_environment},
  };
}

/// How text becomes documents: read by nobody where there is no text.
Rules text_rules() {
  std::vector<std::string> reading = {
      "data.format",         "data.split", "data.field", "data.skip_bad", "data.allow_invalid_utf8",
      "data.train_on_prompt"};
  std::vector<std::string> of_files = reading;
  of_files.push_back("data.chat_template");
  return {
      // A file may be meant for data that a flag names, as config/shakespeare_char.yaml is.
      {of_files,
       {"data.path"},
       [](const RunConfig& c) { return tells_stories(c) && !c.for_later; },
       "with the built-in stories",
       "it is about the files that --data-path names",
       {"none"},
       FieldOrigin::by_environment},
      {reading,
       {"data.path", "data.validation_path"},
       reads_only_tokens,
       "with a prepared dataset",
       "give it to prepare-data"},
      {{"data.format"},
       {"data.use_lmsys_dataset"},
       [](const RunConfig& c) { return c.data.use_lmsys_dataset; },
       "",
       "the rows are those of LMSYS-Chat-1M",
       {"lmsys"}},
      {{"data.split", "data.allow_invalid_utf8"},
       {"data.format", "data.use_lmsys_dataset"},
       reads_json_rows,
       "with rows of JSON",
       "it is about plain text"},
      {{"data.field", "data.skip_bad", "data.train_on_prompt"},
       {"data.format"},
       reads_lines,
       "",
       "it is about rows of JSON"},
      {{"data.train_on_prompt"},
       {"data.field"},
       reads_one_field,
       "",
       "the text of one field is no conversation"},
  };
}

Rules data_rules() {
  return {
      {{"data.synthetic_stories", "data.synthetic_seed"},
       {"data.path", "data.use_lmsys_dataset"},
       [](const RunConfig& c) { return !tells_stories(c); },
       "with data of your own",
       "the built-in stories read it, which a run without --data-path learns"},
      {{"data.validation_path", "data.val_split"},
       {"data.path"},
       [](const RunConfig& c) { return tells_stories(c) && !c.for_later; },
       "with the built-in stories",
       "--val-fraction says how many stories are kept for validation",
       {},
       FieldOrigin::by_environment},
      {{"data.val_fraction", "data.val_split"},
       {"data.validation_path"},
       [](const RunConfig& c) { return !c.data.validation_path.empty() && !tells_stories(c); },
       "",
       "nothing is split off the training data",
       {"0.0"}},
      {{"data.val_fraction", "data.val_split"},
       {"data.path"},
       is_prepared,
       "with a prepared dataset",
       "give it to prepare-data",
       {"0.0"}},
      {{"data.val_split"},
       {"data.val_fraction"},
       [](const RunConfig& c) { return c.data.text.val_fraction == 0; },
       "",
       "nothing is split off the training data"},
      {{"data.use_lmsys_dataset"},
       {"data.path"},
       is_prepared,
       "with a prepared dataset",
       "give --format lmsys to prepare-data"},
      {{"data.shift_windows"},
       {"training.rows"},
       [](const RunConfig& c) { return c.training.rows != "windows"; },
       "",
       "rows of whole documents have no offset"},
  };
}

}  // namespace

const std::vector<RunRule>& run_rules() {
  static const Rules rules = [] {
    Rules all;
    for (const Rules& part : {rope_rules(), optimizer_rules(), training_rules(), tokenizer_rules(),
                              text_rules(), chat_rules(), data_rules()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return rules;
}

}  // namespace llm
