// The `data` section of a run config, and the step that turns whatever it names into token files: a
// dataset is used where it lies, raw text is prepared into RUN/data, nothing at all means the
// built-in story corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/signals.h"
#include "data/prepare.h"

namespace llm {

class Fields;
class TokenFile;
class Tokenizer;

/// How text becomes documents; the same rows for `data` and for prepare-data.
struct TextConfig {
  double val_fraction = 0;
  std::string val_split = "hash";
  std::string format = "auto";
  std::string split = "line";
  std::string field;
  bool skip_bad = false;
  bool allow_invalid_utf8 = false;
  bool add_bos = false;
  std::string chat_template;    // none, auto, FILE; empty: none, but auto where a verb fine-tunes
  bool train_on_prompt = true;  // false: of conversations and pairs only the replies are learnt

  void fields(Fields& f);
  TextReaderOptions reader_options() const;
  PrepareOptions prepare_options() const;  // everything but inputs, output, seed, workers, chat
  bool wants_chat_template() const { return !chat_template.empty() && chat_template != "none"; }
};

/// The format that `config` asks for. `auto` is the template of `model`, else
/// plain_chat_template(). Exit 3 where the file is not one.
ChatFormat open_chat_format(const TextConfig& config, const Tokenizer& tokenizer,
                            const std::filesystem::path& model);

struct DataConfig {
  std::vector<std::string>
      path;  // text, JSONL, .zst files or one dataset prefix; empty = the story corpus
  std::string validation_path;  // text or dataset prefix; empty = split off the training data
  TextConfig text;
  bool use_lmsys_dataset = false;
  bool shuffle = true;
  bool shift_windows = true;
  int64_t workers = 1;  // prefetch threads while training, 0 = none
  int64_t synthetic_stories = 20000;
  int64_t synthetic_seed = 1;

  DataConfig() { text.val_fraction = 0.05; }
  void fields(Fields& f);
};

/// What the run trains on. Validation may be empty.
struct RunData {
  std::filesystem::path train;
  std::filesystem::path validation;
  bool synthetic = false;
  double entropy_nats_per_token = 0;  // story corpus: exact mean over the validation part, ends of
                                      // stories included (they are certain); else, and where the
                                      // tokenizer loses text, 0
  std::filesystem::path folder = {};  // RUN/data
  std::filesystem::path beside = {};  // where it was made instead; empty: it lies where it belongs
  std::string text() const;           // one line for the log
  /// Moves what was made beside to its place in RUN/data. Files that are open stay so.
  void adopt();
};

/// A pull source over the training text of a config (files or stories), for training a tokenizer on
/// it. Exit 2 if the path is a dataset.
std::function<bool(std::string&)> training_text(const DataConfig& config);

/// What training_text() reads: files with size and time of change, or the stories, and how. Equal
/// records are the same text; none where it can be read only once.
std::optional<nlohmann::json> training_text_record(const DataConfig& config);

/// Prepares RUN/data/{train,val} where needed; what lies there already is used again if text files,
/// settings, seed and tokenizer are unchanged. Throws Stopped where `stop` asks; nothing half
/// written is left then. Where `beside`, an empty folder, is given, RUN/data stays as it is until
/// adopt().
RunData prepare_run_data(const DataConfig& config, const Tokenizer& tokenizer,
                         const std::filesystem::path& run_directory, uint64_t seed,
                         const ChatFormat& chat = {}, const StopRequest& stop = {},
                         const std::filesystem::path& beside = {});

/// Bytes of text that the ids of a dataset stand for: what bits per byte divides by. Reads all of
/// it.
int64_t text_bytes(const TokenFile& file, const Tokenizer& tokenizer);

}  // namespace llm
