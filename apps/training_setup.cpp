#include "apps/training_setup.h"

#include <algorithm>

#include "apps/run_record.h"
#include "apps/run_remains.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/path_queries.h"
#include "base/sha256.h"
#include "data/block_checksums.h"
#include "data/document_dataset.h"
#include "data/loss_mask.h"
#include "data/packed_dataset.h"
#include "model/load_config.h"
#include "training/training_state.h"

namespace llm {
namespace {

std::unique_ptr<const RowSource> rows_of(const TrainingConfig& training, TokenFile file) {
  const int64_t length = *training.max_seq_length;
  if (training.rows == "windows") {
    return std::make_unique<PackedDataset>(std::move(file), length);
  }
  auto rows = std::make_unique<DocumentDataset>(
      std::move(file), DocumentDataset::Options{length, training.rows == "packed"});
  const std::string name = rows->file().prefix().filename().string();
  log_info("{}: {} documents in {} rows", name, format_count(rows->documents()),
           format_count(rows->size()));
  if (rows->cut_short() > 0) {
    log_warn("{}: {} documents are longer than a row ({} tokens) and lose their end", name,
             format_count(rows->cut_short()), length + 1);
  }
  if (rows->left_out() > 0) {
    log_warn("{}: {} documents have nothing to learn within a row and are left out", name,
             format_count(rows->left_out()));
  }
  return rows;
}

/// Null, said aloud, where the validation data does not make a row.
std::unique_ptr<const RowSource> validation_rows_of(const TrainingConfig& training,
                                                    TokenFile file) {
  if (training.rows == "windows" && file.tokens() <= *training.max_seq_length) {
    log_warn("'{}' has {} tokens, a row takes {}: there will be no validation on such rows",
             file.prefix().string(), file.tokens(), *training.max_seq_length + 1);
    return nullptr;
  }
  try {
    return rows_of(training, std::move(file));
  } catch (const Error& error) {  // no document has anything to learn within a row
    log_warn("{}: there will be no validation", error.message());
    return nullptr;
  }
}

/// Rows of a validation that share the times of diffusion, whatever the batch: the loss of a model
/// is one number.
constexpr int64_t kValidationSpread = 32;

BatchSource batches_of(const RunConfig& config, const Tokenizer& tokenizer, DataLoader& loader,
                       int64_t rows_per_spread = 0) {
  const TrainingConfig& training = config.training;
  const auto seed = static_cast<uint64_t>(config.runtime.seed);
  if (training.objective == "diffusion") {
    return diffusion_batches(loader, {parse_noise_schedule(training.noise_schedule),
                                      tokenizer.mask_id(), seed, rows_per_spread});
  }
  if (training.objective == "clm") {
    return causal_batches(loader);
  }
  MaskedLmOptions masking;
  masking.probability = training.mlm_probability;
  masking.mask_id = tokenizer.mask_id();
  masking.vocab_size = tokenizer.vocab_size();
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    masking.is_special.push_back(tokenizer.is_special(id));
  }
  masking.seed = seed;
  return masked_batches(loader, std::move(masking));
}

/// Killed after its last step, before its final model or the record of its end: the run itself has
/// nothing else to do.
bool lacks_only_its_end(const CheckpointConfig& config, const std::filesystem::path& checkpoint) {
  return are_same(checkpoint.parent_path(), config.output_dir) &&
         !(has_final_model(config.output_dir) && is_recorded_as_ended(config.output_dir));
}

/// In steps. Epochs count rows, of which a run that had other batches before has done so many.
int64_t length_of_run(const RunConfig& config, const DataLoader& loader,
                      const RunIdentity& identity, const std::optional<ResumeChoice>& start) {
  if (config.training.max_steps) return *config.training.max_steps;
  const auto epochs = static_cast<double>(config.training.epochs);
  if (!start) return loader.steps_for_epochs(epochs);
  const TrainingState saved = read_training_state(start->checkpoint);
  const int64_t done = begins_data_anew(saved, identity, config.runtime.seed) ? 0 : saved.row;
  if (done == saved.step * config.training.rows_per_step()) return loader.steps_for_epochs(epochs);
  const double rest =
      epochs - static_cast<double>(done) / static_cast<double>(loader.rows_per_epoch());
  return saved.step + (rest > 0 ? loader.steps_for_epochs(rest) : 0);
}

/// A default warm-up must not be longer than a tenth of the run.
void shorten_warmup(SchedulerConfig& scheduler, const Fields& fields, int64_t total_steps) {
  if (!fields.is_set("scheduler.warmup_steps") &&
      scheduler.warmup_steps.value_or(0) > total_steps / 10) {
    scheduler.warmup_steps = total_steps / 10;
  }
}

/// Names a data set: its index, the checksums of its blocks, and samples from its tokens, for what
/// has changed without them.
std::string data_sha256(const TokenFile& file) {
  Sha256 hash;
  hash.update(file.index_sha256());
  if (const auto sums = block_checksums_path(file.prefix()); std::filesystem::exists(sums)) {
    hash.update(sha256_file(sums));
  }
  constexpr int64_t kSamples = 64;
  constexpr int64_t kSampleTokens = 4096;
  std::vector<int64_t> tokens(static_cast<size_t>(std::min(kSampleTokens, file.tokens())));
  const int64_t last = file.tokens() - static_cast<int64_t>(tokens.size());
  for (int64_t i = 0; i < kSamples; ++i) {
    file.read(last * i / (kSamples - 1), tokens);
    hash.update(std::as_bytes(std::span<const int64_t>(tokens)));
  }
  if (file.loss_mask() != nullptr) {
    hash.update(file.loss_mask()->sha256());
  }
  return hash.finish();
}

/// Tokens of a row on average, for mfu.
int64_t mean_row_length(const RowSource& rows) {
  return std::clamp<int64_t>(rows.file().tokens() / rows.size(), 1, rows.seq_len());
}

/// Beside those of the sections training, optimizer and scheduler.
std::map<std::string, std::string> further_settings(const Fields& fields,
                                                    const RunTokenizer& tokenizer) {
  std::map<std::string, std::string> settings = tokenizer.settings;
  for (const char* key : {"data.shuffle", "data.shift_windows", "checkpoint.model_path"}) {
    settings[key] = fields.find(key)->text();
  }
  return settings;
}

}  // namespace

void check_resume(const RunConfig& config, const Fields& fields, const RunTokenizer& tokenizer,
                  const std::filesystem::path& checkpoint) {
  const TrainingState saved = read_training_state(checkpoint);
  const auto start = saved.settings.find("checkpoint.model_path");
  if (start != saved.settings.end() && start->second.empty() &&
      !config.checkpoint.model_path.empty()) {
    fail(Exit::bad_input,
         fmt::format("the run began from scratch, checkpoint.model_path is '{}'",
                     config.checkpoint.model_path),
         "leave it out, or train another run in another --output-dir");
  }
  compare_models(load_model_config(checkpoint), config.model);
  TrainingState wanted = saved;
  wanted.identity.tokenizer_sha256 = tokenizer.tokenizer->sha256();
  wanted.seed = config.runtime.seed;
  wanted.optimizer_name = config.optimizer.name;
  wanted.precision = config.training.precision;
  wanted.total_steps = config.training.max_steps.value_or(saved.step + 1);  // epochs need the data
  wanted.settings = settings_of(config.training, config.optimizer, config.scheduler);
  wanted.settings.merge(further_settings(fields, tokenizer));
  compare_states(saved, wanted, config.checkpoint,
                 lacks_only_its_end(config.checkpoint, checkpoint));
}

RunLoaders open_loaders(const RunConfig& config, const RunData& data, const Tokenizer& tokenizer) {
  const TokenFileChecks checks{tokenizer.sha256(), config.model.vocab_size};
  DataLoaderOptions options;
  options.seed = static_cast<uint64_t>(config.runtime.seed);
  options.rows_per_step = config.training.rows_per_step();
  options.shuffle = config.data.shuffle;
  options.shift_windows = config.data.shift_windows;
  options.workers = config.data.workers;
  RunLoaders loaders;
  loaders.train = std::make_unique<DataLoader>(
      rows_of(config.training, TokenFile::open(data.train, checks)), options);
  if (!data.validation.empty()) {
    options.shuffle = options.shift_windows = false;
    options.rows_per_step = config.training.batch_size;
    options.workers = 0;
    const auto open = [&](const TrainingConfig& training) {
      auto rows = validation_rows_of(training, TokenFile::open(data.validation, checks));
      return rows ? std::make_unique<DataLoader>(std::move(rows), options) : nullptr;
    };
    loaders.validation = open(config.training);
    if (loaders.validation && config.training.eval_length_factor > 1) {
      TrainingConfig longer = config.training;
      longer.max_seq_length = *longer.max_seq_length * longer.eval_length_factor;
      loaders.long_validation = open(longer);
    }
  }
  return loaders;
}

TrainerSetup trainer_setup(RunConfig& config, const Fields& fields, const RunTokenizer& chosen,
                           RunLoaders& loaders, const std::optional<ResumeChoice>& start) {
  const Tokenizer& tokenizer = *chosen.tokenizer;
  const RowSource& rows = loaders.train->source();
  TrainerSetup setup;
  setup.identity = {tokenizer.sha256(), data_sha256(rows.file()), "", ""};
  setup.total_steps = length_of_run(config, *loaders.train, setup.identity, start);
  setup.may_be_complete = start && lacks_only_its_end(config.checkpoint, start->checkpoint);
  shorten_warmup(config.scheduler, fields, setup.total_steps);
  setup.training = config.training;
  setup.optimizer = config.optimizer;
  setup.scheduler = config.scheduler;
  setup.checkpoint = config.checkpoint;
  setup.metrics = config.logging.metrics;
  setup.data_settings = further_settings(fields, chosen);
  setup.seed = config.runtime.seed;
  setup.run_directory = config.checkpoint.output_dir;
  setup.rows_per_epoch = loaders.train->rows_per_epoch();
  setup.sequence_length = mean_row_length(rows);
  setup.model_files = chosen.files;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    setup.token_bytes.push_back(
        tokenizer.is_special(id) ? 0 : static_cast<int32_t>(tokenizer.token_bytes(id).size()));
  }
  setup.batches = batches_of(config, tokenizer, *loaders.train);
  if (loaders.validation) {
    setup.identity.validation_sha256 = data_sha256(loaders.validation->source().file());
    setup.validation = batches_of(config, tokenizer, *loaders.validation, kValidationSpread);
    setup.validation_rows = loaders.validation->rows_per_epoch();
    if (loaders.long_validation) {
      setup.long_validation =
          batches_of(config, tokenizer, *loaders.long_validation, kValidationSpread);
      setup.long_validation_rows = loaders.long_validation->rows_per_epoch();
    }
  } else if (config.training.early_stopping_patience > 0) {
    fields.fail_at("training.early_stopping_patience",
                   "training.early_stopping_patience needs validation data, and there is none",
                   "--validation-path, or --val-fraction above 0 for texts");
  }
  return setup;
}

}  // namespace llm
