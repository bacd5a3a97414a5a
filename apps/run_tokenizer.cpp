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

FieldOrigin::Kind origin_of(const Fields& fields, const char* path) {
  return fields.find(path)->origin().kind;
}

/// How many pieces to train, of the two keys that say so by the stronger source.
struct PiecesAsked {
  int64_t count = 0;
  FieldOrigin::Kind by = FieldOrigin::by_default;
  /// A file's or a preset's number is a wish, which a small text may leave open; an option is an
  /// order.
  bool binding() const { return by >= FieldOrigin::by_environment; }
};

PiecesAsked pieces_asked(const RunConfig& config, const Fields& fields) {
  const auto pieces = origin_of(fields, "tokenizer.vocab_size");
  const auto rows = origin_of(fields, "model.vocab_size");
  if (rows > pieces) return {config.model.vocab_size, rows};
  if (pieces == FieldOrigin::by_default && tells_stories(config)) return {kStoryVocabulary};
  return {config.tokenizer.vocab_size, pieces};
}

std::unique_ptr<const Tokenizer> train_run_tokenizer(RunConfig& config, const Fields& fields,
                                                     const fs::path& run, const StopRequest& stop) {
  TokenizerTrainerConfig& tokenizer = config.tokenizer;
  const PiecesAsked asked = pieces_asked(config, fields);
  tokenizer.fewer_allowed = tells_stories(config) || !asked.binding();
  tokenizer.vocab_size = asked.count;
  log_info("training a {} tokenizer of {} pieces on the run's text", tokenizer.model_type,
           tokenizer.vocab_size);
  const TokenizerTraining result = train_tokenizer(tokenizer, training_text(config.data), stop);
  return load_tokenizer_bytes(result.model, (run / "tokenizer.model").string());
}

/// As many pieces as the text gave, in the run that trained them and in every resume of it: the
/// embedding follows where no option fixes its rows.
void settle_pieces(RunConfig& config, const Fields& fields, RunTokenizer& chosen) {
  if (!config.tokenizer.path.empty()) return;
  const int64_t pieces = chosen.tokenizer->vocab_size();
  const PiecesAsked asked = pieces_asked(config, fields);
  const bool fewer = pieces < asked.count && (tells_stories(config) || !asked.binding());
  chosen.decides_rows =
      fewer || config.tokenizer.model_type == "char" ||
      origin_of(fields, "tokenizer.vocab_size") > origin_of(fields, "model.vocab_size");
  if (fewer)
    log_info("{} has {} pieces, not {}: the model has as many rows",
             tells_stories(config) ? "a tokenizer of the built-in stories" : "the text's tokenizer",
             pieces, asked.count);
  // So that RUN/config.yaml trains the same one elsewhere.
  if (!chosen.trained_here || fewer) config.tokenizer.vocab_size = pieces;
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
  settle_pieces(config, fields, chosen);
  for (const TokenizerFile& file : model_directory_files(*chosen.tokenizer, "")) {
    const fs::path copy = run / file.name;
    if (!fs::exists(copy) || read_file(copy) != file.bytes) write_file_atomically(copy, file.bytes);
    chosen.files.push_back(copy);
  }
  return chosen;
}

}  // namespace llm
