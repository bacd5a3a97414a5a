#include "apps/pretraining.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "data/synthetic.h"
#include "data/token_file.h"
#include "model/device.h"
#include "model/init.h"
#include "model/model_io.h"
#include "tokenizer/hub_files.h"
#include "training/training_state.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStoryVocabulary = 512;

/// What a run leaves in its directory, prepared data aside.
std::vector<fs::path> traces_of_a_run(const fs::path& run) {
  std::vector<fs::path> traces;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(run, absent)) {
    const std::string name = entry.path().filename().string();
    const bool is_fixed = name == "final" || name == "best" || name == "latest" ||
                          name == "run.json" || name == "config.yaml" ||
                          name == "skipped_steps.jsonl";
    if (is_fixed || name.starts_with("step-") || name.starts_with("metrics.") ||
        name.starts_with("events.out.tfevents.")) {
      traces.push_back(entry.path());
    }
  }
  return traces;
}

/// Files that only a run writes.
bool looks_like_a_run(const fs::path& run) {
  for (const char* name : {"run.json", "config.yaml", "metrics.jsonl", "run.lock", "training.log",
                           "tokenizer.model", "tokenizer.json"}) {
    if (fs::exists(run / name)) {
      return true;
    }
  }
  return !checkpoint_steps(run).empty();
}

std::string absolute_text(const std::string& path) {
  return path.empty() || path == "-" ? path : fs::absolute(path).lexically_normal().string();
}

std::optional<fs::path> tokenizer_beside(const fs::path& directory) {
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    if (fs::exists(directory / name)) {
      return directory / name;
    }
  }
  return std::nullopt;
}

/// Trains on the built-in corpus, whose few words do not fill every vocabulary.
bool tells_stories(const RunConfig& config) {
  return config.data.path.empty() && !config.data.use_lmsys_dataset;
}

int64_t pieces_asked(const RunConfig& config, const Fields& fields) {
  if (fields.is_set("tokenizer.vocab_size")) return config.tokenizer.vocab_size;
  if (fields.is_set("model.vocab_size")) return config.model.vocab_size;
  return tells_stories(config) ? kStoryVocabulary : config.tokenizer.vocab_size;
}

std::unique_ptr<const Tokenizer> train_run_tokenizer(RunConfig& config, const Fields& fields,
                                                     const fs::path& run) {
  TokenizerTrainerConfig& tokenizer = config.tokenizer;
  tokenizer.fewer_allowed = tells_stories(config);
  tokenizer.vocab_size = pieces_asked(config, fields);
  log_info("training a {} tokenizer of {} pieces on the run's text", tokenizer.model_type,
           tokenizer.vocab_size);
  const TokenizerTraining result = train_tokenizer(tokenizer, training_text(config.data));
  return load_tokenizer_bytes(result.model, (run / "tokenizer.model").string());
}

void check_vocabularies(const RunConfig& config, const Tokenizer& tokenizer) {
  const int64_t pieces = tokenizer.vocab_size();
  const int64_t rows = config.model.vocab_size;
  const bool fits =
      pieces <= rows &&
      rows <= pieces + std::max<int64_t>(127, pieces / 8);  // rows may be padded to a round number
  check(fits, "model.vocab_size {} but {} has {} pieces", rows, tokenizer.file_name(), pieces);
}

/// The ids are the tokenizer's. One that was set to something else, other than what every written
/// config holds, is a mistake.
void sync_token_ids(ModelConfig& model, const Fields& fields, const Tokenizer& tokenizer) {
  const ModelConfig usual;
  const auto sync = [&](const char* key, int64_t& id, int64_t written, int64_t own) {
    const std::string path = fmt::format("model.{}", key);
    if (fields.is_set(path) && id != own && id != written)
      fields.fail_at(path,
                     fmt::format("{} is {}, but {} has {}", path, id, tokenizer.file_name(), own),
                     "leave it out: it is taken from the tokenizer");
    id = own;
  };
  sync("bos_token_id", model.bos_token_id, usual.bos_token_id, tokenizer.bos_id());
  sync("eos_token_id", model.eos_token_id, usual.eos_token_id, tokenizer.eos_id());
  sync("pad_token_id", model.pad_token_id, usual.pad_token_id, tokenizer.pad_id());
}

/// The shape of a model to start from is that model's; only keys that do not decide what its
/// tensors mean may be set beside it.
void adopt_starting_model(RunConfig& config, const Fields& fields, int64_t pieces) {
  ModelConfig adopted = load_model_config(resolve_model_path(config.checkpoint.model_path));
  if (config.checkpoint.resize_embeddings) {
    adopted.vocab_size = pieces;
    config.model.vocab_size = pieces;
  }
  bool any_set = false;
  for (const Field& row : fields.rows()) {
    any_set = any_set || (row.path().starts_with("model.") && row.is_set());
  }
  if (any_set) {
    for (const std::string& change : compare_models(adopted, config.model)) {
      log_info("{}", change);
    }
  } else {
    config.model = adopted;
  }
}

/// Copies every tensor of `source`; of the embedding and the head as many rows as both have.
void copy_parameters(const Transformer& source, Transformer& model) {
  const at::NoGradGuard no_grad;
  for (const Parameter& parameter : model.named_parameters()) {
    const Parameter* from = source.find_parameter(parameter.name);
    check_input(from != nullptr, "the starting model has no {}", parameter.name);
    const int64_t rows = std::min(from->tensor.size(0), parameter.tensor.size(0));
    parameter.tensor.detach().narrow(0, 0, rows).copy_(from->tensor.detach().narrow(0, 0, rows));
  }
}

}  // namespace

RunDirectory::RunDirectory(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  made_here_ = !fs::exists(path_, error);
  if (fs::is_directory(path_, error) && !fs::is_empty(path_, error) && !looks_like_a_run(path_)) {
    fail(Exit::usage, fmt::format("'{}' exists and is not a training run", path_.string()),
         "choose another --output-dir");
  }
  make_directories(path_);
}

RunDirectory::~RunDirectory() {
  if (made_here_) {
    detach_log_file();
    discard(path_);
  }
}

std::optional<ResumeChoice> choose_start(const CheckpointConfig& config) {
  const fs::path run = config.output_dir;
  const std::vector<fs::path> traces = traces_of_a_run(run);
  const bool has_checkpoint = !checkpoint_steps(run).empty();
  if (config.resume_from_checkpoint == "never" && !traces.empty()) {
    if (has_checkpoint && !config.force) {
      fail(Exit::usage,
           fmt::format("'{}' holds a run already ({})", run.string(),
                       checkpoint_name(checkpoint_steps(run).back())),
           "--resume-from-checkpoint auto goes on with it, --force removes it, another "
           "--output-dir leaves it alone");
    }
    for (const fs::path& trace : traces) {
      remove_tree(trace);
    }
    return std::nullopt;
  }
  return choose_checkpoint(run, config.resume_from_checkpoint);
}

RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start) {
  const fs::path run = config.checkpoint.output_dir;
  std::optional<fs::path> source;
  if (!config.tokenizer.path.empty()) {
    source = config.tokenizer.path;
    config.tokenizer.path = absolute_text(config.tokenizer.path);
  } else if (!config.checkpoint.model_path.empty()) {
    source = tokenizer_beside(resolve_model_path(config.checkpoint.model_path));
    config.tokenizer.path = source ? absolute_text(source->string()) : "";
  } else if (start) {
    source = tokenizer_beside(start->checkpoint);
  } else if (config.checkpoint.resume_from_checkpoint != "never") {
    source = tokenizer_beside(run);
  }
  RunTokenizer chosen;
  chosen.trained_here = !source;
  chosen.tokenizer = source ? load_tokenizer(*source) : train_run_tokenizer(config, fields, run);
  const int64_t pieces = chosen.tokenizer->vocab_size();
  if (config.tokenizer.path.empty()) {
    const int64_t asked = pieces_asked(config, fields);
    chosen.fewer_pieces = tells_stories(config) && pieces < asked;
    if (chosen.fewer_pieces)
      log_info("the built-in stories give {} pieces, not {}: the model has as many rows", pieces,
               asked);
    // So that RUN/config.yaml trains the same one elsewhere.
    if (source || chosen.fewer_pieces) config.tokenizer.vocab_size = pieces;
  }
  for (const TokenizerFile& file : model_directory_files(*chosen.tokenizer, "")) {
    const fs::path copy = run / file.name;
    if (!fs::exists(copy) || read_file(copy) != file.bytes) write_file_atomically(copy, file.bytes);
    chosen.files.push_back(copy);
  }
  return chosen;
}

void settle_model(RunConfig& config, const Fields& fields, const RunTokenizer& chosen) {
  const Tokenizer& tokenizer = *chosen.tokenizer;
  if (!config.checkpoint.model_path.empty()) {
    adopt_starting_model(config, fields, tokenizer.vocab_size());
    check_vocabulary(tokenizer, config.model.vocab_size);
  } else {
    // A char vocabulary is as large as the text makes it, and so is one that the built-in stories
    // do not fill, in the run that trained it and in every resume of that run.
    const bool text_decides = config.tokenizer.path.empty() &&
                              (config.tokenizer.model_type == "char" || chosen.fewer_pieces);
    if (!fields.is_set("model.vocab_size") || text_decides) {
      config.model.vocab_size = tokenizer.vocab_size();
    }
    check_vocabularies(config, tokenizer);
    sync_token_ids(config.model, fields, tokenizer);
  }
  validate(config.model);
  const int64_t longest = config.model.max_position_embeddings;
  config.training.max_seq_length = config.training.max_seq_length.value_or(longest);
  check(*config.training.max_seq_length <= longest,
        "training.max_seq_length ({}) exceeds model.max_position_embeddings ({})",
        *config.training.max_seq_length, longest);
  if (config.training.precision == "auto") {
    const std::string& dtype = config.runtime.dtype;
    config.training.precision = dtype == "float32"    ? "32-true"
                                : dtype == "bfloat16" ? "bf16-mixed"
                                : dtype == "float16"  ? "16-mixed"
                                                      : "auto";
  }
  config.training.precision =
      parse_precision(config.training.precision, resolve_device(config.runtime.device)).name;
  if (config.runtime.seed < 0) {
    config.runtime.seed = static_cast<int64_t>(fresh_seed());
    log_info("seed {}", config.runtime.seed);
  }
  config.runtime.threads = at::get_num_threads();
  for (std::string& path : config.data.path) {
    path = absolute_text(path);
  }
  config.data.validation_path = absolute_text(config.data.validation_path);
}

std::unique_ptr<Transformer> make_model(const RunConfig& config) {
  const at::Device device = resolve_device(config.runtime.device);
  const Precision precision = parse_precision(config.training.precision, device);
  auto model = std::make_unique<Transformer>(config.model, precision.parameters, device);
  if (config.checkpoint.model_path.empty()) {
    initialize(*model, static_cast<uint64_t>(config.runtime.seed));
  } else if (config.checkpoint.resize_embeddings) {
    initialize(*model, static_cast<uint64_t>(config.runtime.seed));
    const LoadedModel source = load_model(config.checkpoint.model_path,
                                          {precision.parameters, device, /*check_finite=*/true});
    log_info("embeddings: {} rows become {}", source.config.vocab_size, config.model.vocab_size);
    copy_parameters(*source.model, *model);
  } else {
    load_weights(*model, resolve_model_path(config.checkpoint.model_path), /*check_finite=*/true);
  }
  return model;
}

RunLoaders open_loaders(const RunConfig& config, const RunData& data, const Tokenizer& tokenizer) {
  const TokenFileChecks checks{tokenizer.sha256(), config.model.vocab_size};
  const int64_t length = *config.training.max_seq_length;
  DataLoaderOptions options;
  options.seed = static_cast<uint64_t>(config.runtime.seed);
  options.rows_per_step = config.training.rows_per_step();
  options.shuffle = config.data.shuffle;
  options.shift_windows = config.data.shift_windows;
  options.workers = config.data.workers;
  RunLoaders loaders;
  loaders.train = std::make_unique<DataLoader>(
      PackedDataset(TokenFile::open(data.train, checks), length), options);
  if (!data.validation.empty()) {
    TokenFile file = TokenFile::open(data.validation, checks);
    if (file.tokens() <= length) {
      log_warn("'{}' has {} tokens, a row takes {}: there will be no validation",
               data.validation.string(), file.tokens(), length + 1);
    } else {
      options.shuffle = options.shift_windows = false;
      options.rows_per_step = config.training.batch_size;
      options.workers = 0;
      loaders.validation =
          std::make_unique<DataLoader>(PackedDataset(std::move(file), length), options);
    }
  }
  return loaders;
}

TrainerSetup trainer_setup(const RunConfig& config, const RunTokenizer& chosen,
                           RunLoaders& loaders) {
  const Tokenizer& tokenizer = *chosen.tokenizer;
  TrainerSetup setup;
  setup.training = config.training;
  setup.optimizer = config.optimizer;
  setup.scheduler = config.scheduler;
  setup.checkpoint = config.checkpoint;
  setup.metrics = config.logging.metrics;
  setup.identity = {tokenizer.sha256(), data_sha256(loaders.train->dataset().file()), ""};
  setup.seed = config.runtime.seed;
  setup.run_directory = config.checkpoint.output_dir;
  setup.total_steps = config.training.max_steps.value_or(
      loaders.train->steps_for_epochs(static_cast<double>(config.training.epochs)));
  setup.rows_per_epoch = loaders.train->rows_per_epoch();
  setup.sequence_length = *config.training.max_seq_length;
  setup.model_files = chosen.files;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    setup.token_bytes.push_back(
        tokenizer.is_special(id) ? 0 : static_cast<int32_t>(tokenizer.token_bytes(id).size()));
  }
  MaskedLmOptions masking;
  if (config.training.objective == "mlm") {
    masking.probability = config.training.mlm_probability;
    masking.mask_id = tokenizer.mask_id();
    masking.vocab_size = tokenizer.vocab_size();
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      masking.is_special.push_back(tokenizer.is_special(id));
    }
    masking.seed = static_cast<uint64_t>(config.runtime.seed);
  }
  const auto batches_of = [&](DataLoader& loader) {
    return masking.vocab_size > 0 ? masked_batches(loader, masking) : causal_batches(loader);
  };
  setup.batches = batches_of(*loaders.train);
  if (loaders.validation) {
    setup.validation = batches_of(*loaders.validation);
    setup.validation_rows = loaders.validation->rows_per_epoch();
  }
  return setup;
}

std::string data_sha256(const TokenFile& file) {
  Sha256 hash;
  hash.update(file.index_sha256());
  constexpr int64_t kSamples = 64;
  constexpr int64_t kSampleTokens = 4096;
  std::vector<int64_t> tokens(static_cast<size_t>(std::min(kSampleTokens, file.tokens())));
  const int64_t last = file.tokens() - static_cast<int64_t>(tokens.size());
  for (int64_t i = 0; i < kSamples; ++i) {
    file.read(last * i / (kSamples - 1), tokens);
    hash.update(std::as_bytes(std::span<const int64_t>(tokens)));
  }
  return hash.finish();
}

}  // namespace llm
