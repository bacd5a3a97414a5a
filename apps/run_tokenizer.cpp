#include "apps/run_tokenizer.h"

#include <algorithm>

#include "apps/absolute_text.h"
#include "apps/tokenizer_record.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"
#include "model/model_path.h"
#include "tokenizer/hub_files.h"
#include "tokenizer/model_tokenizer.h"
#include "training/training_state.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> tokenizer_beside(const fs::path& directory) {
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    if (fs::exists(directory / name)) {
      return directory / name;
    }
  }
  return std::nullopt;
}

FieldOrigin::Kind source_of(const Fields& fields, const char* path) {
  return fields.find(path)->origin().kind;
}

std::unique_ptr<const Tokenizer> train_run_tokenizer(RunConfig& config, const Fields& fields,
                                                     const fs::path& run, const StopRequest& stop) {
  if (std::ranges::count(config.data.path, "-") > 0) {
    fail(Exit::usage, "--data-path -: standard input is read once, and here twice",
         "--tokenizer-path: without it a tokenizer is trained on the text first");
  }
  TokenizerTrainerConfig& tokenizer = config.tokenizer;
  tokenizer.fewer_allowed = fewer_pieces_allowed(config, fields);
  tokenizer.vocab_size = pieces_asked(config, fields).count;
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
  const bool fewer = pieces < asked.count && fewer_pieces_allowed(config, fields);
  chosen.decides_rows =
      fewer || config.tokenizer.model_type == "char" ||
      source_of(fields, "tokenizer.vocab_size") > source_of(fields, "model.vocab_size");
  if (fewer)
    log_info("{} has {} pieces, not {}: the model has as many rows",
             tells_stories(config) ? "a tokenizer of the built-in stories" : "the text's tokenizer",
             pieces, asked.count);
  // So that RUN/config.yaml trains the same one elsewhere.
  if (!chosen.trained_here || fewer) config.tokenizer.vocab_size = pieces;
}

/// A resume takes the checkpoint's tokenizer; what was not what trained that is refused.
void keep_settings(RunConfig& config, const Fields& fields, const fs::path& checkpoint,
                   RunTokenizer& chosen) {
  chosen.settings = tokenizer_settings_of(read_training_state(checkpoint).settings);
  compare_tokenizer_settings(chosen.settings, config, fields, *chosen.tokenizer);
}

/// What an attempt without a checkpoint left: another text or other settings make another one.
std::optional<fs::path> left_by_an_attempt(const fs::path& run, const std::string& made_from) {
  std::optional<fs::path> trained = tokenizer_trained_before(run, made_from);
  const std::optional<fs::path> other = tokenizer_beside(run);
  if (!trained && other) {
    log_info("'{}' is not known to be trained from this text with these settings", other->string());
  }
  return trained;
}

/// A run that goes on with a tokenizer that was named once.
void keep_path(TokenizerTrainerConfig& config, const TokenizerSettings& settings) {
  const auto path = settings.find("tokenizer.path");
  if (!config.path.empty() || path == settings.end()) return;
  config = {};  // how one would be trained says nothing beside a path
  config.path = path->second;
}

}  // namespace

RunTokenizer choose_tokenizer(RunConfig& config, const Fields& fields,
                              const std::optional<ResumeChoice>& start, const StopRequest& stop) {
  const fs::path run = config.checkpoint.output_dir;
  RunTokenizer chosen;
  std::optional<fs::path> source;
  if (!config.tokenizer.path.empty()) {
    source = config.tokenizer.path;
    config.tokenizer.path = absolute_text(config.tokenizer.path);
  } else if (!config.checkpoint.model_path.empty()) {
    source = tokenizer_place(resolve_model_path(config.checkpoint.model_path));
    config.tokenizer.path = absolute_text(source->string());
  } else if (start) {
    source = tokenizer_beside(start->checkpoint);
  } else {
    chosen.made_from = tokenizer_made_from(config, fields);
    const bool anew = config.checkpoint.resume_from_checkpoint == "never";
    if (!anew) source = left_by_an_attempt(run, chosen.made_from);
  }
  chosen.trained_here = !source;
  chosen.tokenizer = source ? open_model_tokenizer(*source, source->string())
                            : train_run_tokenizer(config, fields, run, stop);
  if (!config.checkpoint.model_path.empty() && !fields.is_set("data.add_bos")) {
    config.data.text.add_bos = begins_texts_with_bos(*chosen.tokenizer);
  }
  if (start && config.tokenizer.path.empty()) {
    keep_settings(config, fields, start->checkpoint, chosen);
  } else {
    chosen.settings = tokenizer_settings(config, fields);
  }
  settle_pieces(config, fields, chosen);
  keep_path(config.tokenizer, chosen.settings);
  chosen.contents = model_directory_files(*chosen.tokenizer, "");
  for (const TokenizerFile& file : chosen.contents) {
    chosen.files.push_back(run / file.name);
  }
  return chosen;
}

namespace {

/// A file of an earlier run's tokenizer in another form would be taken for this one's.
void set_other_forms_aside(const RunTokenizer& chosen, const fs::path& run) {
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    const fs::path file = run / name;
    const bool ours =
        std::find(chosen.files.begin(), chosen.files.end(), file) != chosen.files.end();
    if (ours || !fs::exists(file)) continue;
    const fs::path kept = free_name(file, "old");
    rename_path(file, kept);
    log_info("'{}' is of another tokenizer and is kept as {}", file.string(),
             kept.filename().string());
  }
}

}  // namespace

void write_tokenizer(const RunTokenizer& chosen, const fs::path& run) {
  if (chosen.trained_here) forget_trained_tokenizer(run, chosen.files);
  set_other_forms_aside(chosen, run);
  std::vector<fs::path> written;
  for (const TokenizerFile& file : chosen.contents) {
    const fs::path copy = written.emplace_back(run / file.name);
    if (!fs::exists(copy) || read_file(copy) != file.bytes) write_file_atomically(copy, file.bytes);
  }
  if (chosen.trained_here) record_trained_tokenizer(run, chosen.made_from, written);
}

}  // namespace llm
