#include "apps/run_tokenizer.h"

#include "base/atomic_file.h"
#include "base/file_io.h"
#include "base/log.h"
#include "data/synthetic.h"
#include "model/model_path.h"
#include "tokenizer/hub_files.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStoryVocabulary = 512;

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
                                                     const fs::path& run, const StopRequest& stop) {
  TokenizerTrainerConfig& tokenizer = config.tokenizer;
  tokenizer.fewer_allowed = tells_stories(config);
  tokenizer.vocab_size = pieces_asked(config, fields);
  log_info("training a {} tokenizer of {} pieces on the run's text", tokenizer.model_type,
           tokenizer.vocab_size);
  const TokenizerTraining result = train_tokenizer(tokenizer, training_text(config.data), stop);
  return load_tokenizer_bytes(result.model, (run / "tokenizer.model").string());
}

}  // namespace

std::string absolute_text(const std::string& path) {
  return path.empty() || path == "-" ? path : fs::absolute(path).lexically_normal().string();
}

RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start, const StopRequest& stop) {
  const fs::path run = config.checkpoint.output_dir;
  std::optional<fs::path> source;
  if (!config.tokenizer.path.empty()) {
    source = config.tokenizer.path;
    config.tokenizer.path = absolute_text(config.tokenizer.path);
  } else if (!config.checkpoint.model_path.empty()) {
    source = tokenizer_place(resolve_model_path(config.checkpoint.model_path));
    config.tokenizer.path = absolute_text(source->string());
  } else if (start) {
    source = tokenizer_beside(start->checkpoint);
  } else if (config.checkpoint.resume_from_checkpoint != "never") {
    source = tokenizer_beside(run);
  }
  RunTokenizer chosen;
  chosen.trained_here = !source;
  chosen.tokenizer = source ? open_model_tokenizer(*source, source->string())
                            : train_run_tokenizer(config, fields, run, stop);
  if (!config.checkpoint.model_path.empty() && !fields.is_set("data.add_bos")) {
    config.data.text.add_bos = begins_texts_with_bos(*chosen.tokenizer);
  }
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

}  // namespace llm
