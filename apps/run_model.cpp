#include "apps/run_model.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "apps/absolute_text.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "model/device.h"
#include "model/init.h"
#include "model/model_io.h"
#include "training/training_state.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPackedRow = 2048;  // tokens, where the model takes more and nobody said how many

void check_vocabularies(const RunConfig& config, const Tokenizer& tokenizer) {
  const int64_t pieces = tokenizer.vocab_size();
  const int64_t rows = config.model.vocab_size;
  const bool fits =
      pieces <= rows &&
      rows <= pieces + std::max<int64_t>(127, pieces / 8);  // rows may be padded to a round number
  if (!fits) {
    fail(Exit::usage,
         fmt::format("model.vocab_size {} but {} has {} pieces", rows, tokenizer.file_name(),
                     pieces),
         fmt::format("--model.vocab_size {}, or a tokenizer of {} pieces", pieces, rows));
  }
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

/// What somebody set of the section `model`, over `adopted`. A file's number of rows is a wish,
/// which a model that is there already leaves open; with resized embeddings nobody is asked.
ModelConfig with_given_keys(const ModelConfig& adopted, const Fields& given, bool resized) {
  ModelConfig wanted = adopted;
  Fields fields;
  fields.section("model", wanted);
  for (const Field& row : given.rows()) {
    if (!row.path().starts_with("model.") || !row.is_set()) continue;
    if (row.text() == fields.find(row.path())->text()) continue;
    const bool wish = !row.origin().is_order() || resized;
    if (row.path() == "model.vocab_size" && wish) {
      log_info("model.vocab_size {} of {}: the model has {} rows", row.text(), row.origin().text(),
               adopted.vocab_size);
      continue;
    }
    fields.override_default(row.path(), row.text());
  }
  return wanted;
}

/// The shape of a model to start from is that model's; only keys that do not decide what its
/// tensors mean may be set beside it.
void adopt_starting_model(RunConfig& config, const Fields& fields, int64_t pieces) {
  ModelConfig adopted = load_model_config(resolve_model_path(config.checkpoint.model_path));
  if (config.checkpoint.resize_embeddings) {
    adopted.vocab_size = pieces;
  }
  const ModelConfig wanted = with_given_keys(adopted, fields, config.checkpoint.resize_embeddings);
  for (const std::string& change : compare_models(adopted, wanted)) {
    log_info("{}", change);
  }
  config.model = wanted;
}

/// Which way tokens look follows from what is learnt.
void settle_direction(RunConfig& config, const Fields& fields) {
  const bool both_ways = config.training.restores_masked();
  if (!both_ways && config.model.use_bidirectional_attention) {
    fields.fail_at(
        "training.objective",
        "training.objective: clm would teach a model that sees later tokens to copy them "
        "(model.use_bidirectional_attention is true)",
        "--objective mlm or diffusion goes on with such a model");
  }
  config.model.use_bidirectional_attention = both_ways;
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

void settle_model(RunConfig& config, const Fields& fields, const RunTokenizer& chosen) {
  const Tokenizer& tokenizer = *chosen.tokenizer;
  if (!config.checkpoint.model_path.empty()) {
    adopt_starting_model(config, fields, tokenizer.vocab_size());
    check_vocabulary(tokenizer, config.model.vocab_size);
  } else {
    if (!fields.is_set("model.vocab_size") || chosen.decides_rows) {
      config.model.vocab_size = tokenizer.vocab_size();
    }
    check_vocabularies(config, tokenizer);
    sync_token_ids(config.model, fields, tokenizer);
  }
  settle_direction(config, fields);
  validate(config.model);
  const int64_t longest = config.model.max_position_embeddings;
  const bool packed = config.training.rows == "packed";
  config.training.max_seq_length =
      config.training.max_seq_length.value_or(packed ? std::min(longest, kPackedRow) : longest);
  check(*config.training.max_seq_length <= longest,
        "training.max_seq_length ({}) exceeds model.max_position_embeddings ({})",
        *config.training.max_seq_length, longest);
  const int64_t reach = *config.training.max_seq_length * config.training.eval_length_factor;
  if (config.model.position_embedding_type == "absolute" && reach > longest) {
    fields.fail_at("training.eval_length_factor",
                   fmt::format("training.eval_length_factor ({}): rows of {} tokens are more than "
                               "the {} positions of model.position_embedding_type absolute",
                               config.training.eval_length_factor, reach, longest),
                   "rows of --max-seq-length " +
                       std::to_string(longest / config.training.eval_length_factor) +
                       " leave room for it");
  }
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
  config.runtime.encryption_key_file = absolute_text(config.runtime.encryption_key_file);
  std::string& start = config.checkpoint.model_path;
  start = fs::exists(start) ? absolute_text(start) : start;  // else a name in the hub's cache
}

std::unique_ptr<Transformer> make_model(const RunConfig& config, const EncryptionKey& key) {
  const at::Device device = resolve_device(config.runtime.device);
  const Precision precision = parse_precision(config.training.precision, device);
  auto model = std::make_unique<Transformer>(config.model, precision.parameters, device);
  if (config.checkpoint.model_path.empty()) {
    initialize(*model, static_cast<uint64_t>(config.runtime.seed));
  } else if (config.checkpoint.resize_embeddings) {
    initialize(*model, static_cast<uint64_t>(config.runtime.seed));
    const LoadedModel source = load_model(
        config.checkpoint.model_path, {precision.parameters, device, /*check_finite=*/true, key});
    log_info("embeddings: {} rows become {}", source.config.vocab_size, config.model.vocab_size);
    copy_parameters(*source.model, *model);
  } else {
    load_weights(*model, resolve_model_path(config.checkpoint.model_path),
                 /*check_finite=*/true, key);
  }
  return model;
}

}  // namespace llm
