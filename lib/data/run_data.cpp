#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "data/data_config.h"
#include "data/data_record.h"
#include "data/story_data.h"
#include "data/synthetic.h"
#include "data/token_file.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

constexpr const char* kDataRecord = "prepared.json";

std::optional<std::filesystem::path> dataset_in(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (path != "-" && is_token_file(path)) {
      check(
          paths.size() == 1,
          "data.path: '{}' is a prepared dataset and must stand alone; prepare all files together",
          path);
      return token_file_prefix(path);
    }
  }
  return std::nullopt;
}

/// Where prepared data lies, and where it is made if that is to stay as it is (empty: in place).
struct DataPlaces {
  std::filesystem::path folder;
  std::filesystem::path beside;
  const std::filesystem::path& to_write() const { return beside.empty() ? folder : beside; }
};

RunData prepare_stories(const DataConfig& config, const Tokenizer& tokenizer,
                        const DataPlaces& places, const StopRequest& stop) {
  const bool validates = story_counts(config).validation > 0;
  nlohmann::json now = data_record(config, {}, tokenizer, 0, {});
  const bool made = holds_record(places.folder / kDataRecord, now);
  const std::filesystem::path& folder = made ? places.folder : places.to_write();
  RunData data{folder / "train", validates ? folder / "val" : "", true, 0};
  if (!made) {
    data.beside = places.beside;
    remove_file(folder / kDataRecord);
    write_stories(config, tokenizer, data.train, data.validation, stop);
    write_file_atomically(folder / kDataRecord, dump_json(now, 1) + "\n");
  }
  if (validates) {
    data.entropy_nats_per_token = story_entropy(config, tokenizer, data.validation);
  }
  return data;
}

/// Prepares a set of texts of the run.
void prepare_part(PrepareOptions& options, const Tokenizer& tokenizer, const StopRequest& stop) {
  options.stop_requested = stop;
  options.show_progress = !log_is_quiet();
  const PrepareResult result = prepare_data(options, tokenizer);
  if (result.stopped) {
    throw Stopped();
  }
  if (result.skipped_rows > 0) {
    log_warn("{} bad rows were left out; the first: {}", result.skipped_rows, result.first_bad_row);
  }
}

RunData prepare_text(const DataConfig& config, const Tokenizer& tokenizer, const DataPlaces& places,
                     uint64_t seed, const ChatFormat& chat, const StopRequest& stop) {
  bool own_validation = !config.validation_path.empty();
  std::vector<std::string> inputs = config.path;
  if (own_validation && !is_token_file(config.validation_path)) {
    inputs.push_back(config.validation_path);
  }
  nlohmann::json now = data_record(config, inputs, tokenizer, seed, chat);
  now["validation"] = config.validation_path;
  bool reads_once = std::find(inputs.begin(), inputs.end(), "-") != inputs.end();
  const bool made = !reads_once && holds_record(places.folder / kDataRecord, now);
  const std::filesystem::path& folder = made ? places.folder : places.to_write();
  RunData data{folder / "train", folder / "val", false, 0};
  if (!made) {
    data.beside = places.beside;
    remove_file(folder / kDataRecord);
    remove_dataset(data.train);
    remove_dataset(data.validation);
    PrepareOptions options = config.text.prepare_options();
    options.seed = seed;
    options.chat = chat;
    options.inputs = config.path;
    options.output = data.train;
    options.val_fraction = own_validation ? 0 : options.val_fraction;
    prepare_part(options, tokenizer, stop);
    if (own_validation && !is_token_file(config.validation_path)) {
      options.inputs = {config.validation_path};
      options.output = data.validation;
      prepare_part(options, tokenizer, stop);
    }
    write_file_atomically(folder / kDataRecord, dump_json(now, 1) + "\n");
  }
  if (own_validation && is_token_file(config.validation_path)) {
    data.validation = token_file_prefix(config.validation_path);
  } else if (!is_token_file(data.validation)) {
    data.validation.clear();
    if (config.text.val_fraction > 0) {
      log_warn("{}", kNoValidationDocument);
    }
  }
  return data;
}

RunData existing_dataset(const DataConfig& config, const std::filesystem::path& prefix,
                         const DataPlaces& places, const Tokenizer& tokenizer,
                         const ChatFormat& chat, const StopRequest& stop) {
  RunData data{prefix, {}, false, 0};
  if (config.validation_path.empty()) {
    data.validation = is_token_file(validation_prefix(prefix)) ? validation_prefix(prefix) : "";
  } else if (is_token_file(config.validation_path)) {
    data.validation = token_file_prefix(config.validation_path);
  } else {
    remove_file(places.to_write() / kDataRecord);  // which is of a text and another validation part
    PrepareOptions options = config.text.prepare_options();
    options.val_fraction = 0;
    options.chat = chat;
    options.inputs = {config.validation_path};
    options.output = data.validation = places.to_write() / "val";
    data.beside = places.beside;
    prepare_part(options, tokenizer, stop);
  }
  return data;
}

}  // namespace

std::string RunData::text() const {
  const auto shown = [&](const std::filesystem::path& prefix) {
    const bool is_made = !beside.empty() && prefix.parent_path() == beside;
    return (is_made ? folder / prefix.filename() : prefix).string();
  };
  std::string line = synthetic ? "built-in stories in " + shown(train) : shown(train);
  line += validation.empty() ? ", no validation data" : ", validation " + shown(validation);
  return synthetic && entropy_nats_per_token > 0
             ? fmt::format("{}, exact entropy {:.4f} nats per token", line, entropy_nats_per_token)
             : line;
}

std::function<bool(std::string&)> training_text(const DataConfig& given) {
  DataConfig config = resolved_data(given);
  if (config.path.empty()) {
    return StoryCorpus(static_cast<uint64_t>(config.synthetic_seed))
        .stream(0, config.synthetic_stories);
  }
  if (auto prefix = dataset_in(config.path)) {
    fail(
        Exit::usage,
        fmt::format("'{}' is a prepared dataset; a tokenizer is trained on text", prefix->string()),
        "give the tokenizer that made it as --tokenizer-path");
  }
  auto reader = std::make_shared<TextReader>(config.path, config.text.reader_options());
  return [reader](std::string& text) {
    Document document;
    bool more = reader->next(document);
    text = std::move(document.text);
    return more;
  };
}

RunData prepare_run_data(const DataConfig& given, const Tokenizer& tokenizer,
                         const std::filesystem::path& run_directory, uint64_t seed,
                         const ChatFormat& chat, const StopRequest& stop,
                         const std::filesystem::path& beside) {
  DataConfig config = resolved_data(given);
  const DataPlaces places{run_directory / "data", beside};
  RunData data;
  if (config.path.empty()) {
    data = prepare_stories(config, tokenizer, places, stop);
  } else if (auto prefix = dataset_in(config.path)) {
    data = existing_dataset(config, *prefix, places, tokenizer, chat, stop);
  } else {
    data = prepare_text(config, tokenizer, places, seed, chat, stop);
  }
  data.folder = places.folder;
  for (const std::filesystem::path& part : {data.train, data.validation}) {
    if (!part.empty()) {
      TokenFile::open(part, {tokenizer.sha256(), tokenizer.vocab_size()});
    }
  }
  return data;
}

void RunData::adopt() {
  if (beside.empty()) return;
  make_directories(folder);
  const bool both = std::filesystem::exists(beside / kDataRecord);  // else the validation part
  remove_file(folder / kDataRecord);
  if (both) {
    remove_dataset(folder / "train");
  }
  remove_dataset(folder / "val");
  std::vector<std::filesystem::path> names;
  for (const auto& entry : std::filesystem::directory_iterator(beside)) {
    names.push_back(entry.path().filename());
  }
  // The record last: what lies there is its data then.
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return (a == kDataRecord) < (b == kDataRecord); });
  for (const std::filesystem::path& name : names) {
    rename_path(beside / name, folder / name);
  }
  for (std::filesystem::path* part : {&train, &validation}) {
    if (part->parent_path() == beside) *part = folder / part->filename();
  }
  beside.clear();
}

int64_t text_bytes(const TokenFile& file, const Tokenizer& tokenizer) {
  std::vector<int64_t> lengths(static_cast<size_t>(tokenizer.vocab_size()));
  for (size_t id = 0; id < lengths.size(); ++id) {
    lengths[id] = static_cast<int64_t>(tokenizer.token_bytes(static_cast<int32_t>(id)).size());
  }
  int64_t total = 0;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    for (int32_t id : file.sequence(s)) {
      check_input(id >= 0 && static_cast<size_t>(id) < lengths.size(),
                  "'{}': token {} is \u2265 vocab_size {}", token_bin_path(file.prefix()).string(),
                  id, lengths.size());
      total += lengths[static_cast<size_t>(id)];
    }
  }
  return total;
}

}  // namespace llm
