#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/device.h"
#include "base/error.h"
#include "base/log.h"
#include "base/new_folders.h"
#include "base/path_queries.h"
#include "base/progress.h"
#include "base/signals.h"
#include "data/chunk_source.h"
#include "data/dataset_commit.h"
#include "data/encode_chunk.h"
#include "data/ordered_workers.h"
#include "data/part_writer.h"
#include "data/token_file.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

/// The size of the input where it is plain from the files, else 0.
int64_t known_megabytes(const std::vector<std::string>& inputs) {
  uint64_t total = 0;
  for (const std::string& input : inputs) {
    std::error_code failed;
    uint64_t size =
        input == "-" || input.ends_with(".zst") ? 0 : std::filesystem::file_size(input, failed);
    if (failed || size == 0) {
      return 0;
    }
    total += size;
  }
  return static_cast<int64_t>(total / 1'000'000);
}

class Preparation {
 public:
  Preparation(const PrepareOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer), source_(options) {
    train_ = std::make_unique<PartWriter>(token_file_prefix(options.output), tokenizer.sha256());
    if (options.val_fraction > 0) {
      validation_ = std::make_unique<PartWriter>(
          validation_prefix(token_file_prefix(options.output)), tokenizer.sha256());
    }
    if (options.show_progress) {
      progress_ = std::make_unique<Progress>(known_megabytes(options.inputs), "prepare-data", "MB");
    }
  }

  PrepareResult run() {
    auto start = std::chrono::steady_clock::now();
    EncodeRules rules{options_.reader,  0,      options_.seed, options_.add_bos,
                      options_.add_eos, nullptr};
    std::unique_ptr<const RowEncoder> rows;
    if (!options_.chat.plain()) {
      rows = std::make_unique<RowEncoder>(tokenizer_, options_.chat);
      rules.rows = rows.get();
    }
    rules.hash_fraction = options_.val_split == ValidationSplit::hash ? options_.val_fraction : 0;
    OrderedWorkers<std::vector<PendingRecord>, EncodedChunk> workers;
    workers.take = [this](std::vector<PendingRecord>& records) { return take(records); };
    workers.work = [&](std::vector<PendingRecord>&& records) {
      return encode_chunk(std::move(records), rules, tokenizer_);
    };
    workers.put = [this](EncodedChunk&& chunk) { write(chunk); };
    workers.run(options_.workers > 0 ? options_.workers : usable_cores());
    if (!result_.stopped) {
      finish();
    }
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  bool stopped() {
    result_.stopped = result_.stopped || (options_.stop_requested && options_.stop_requested());
    return result_.stopped;
  }

  bool take(std::vector<PendingRecord>& records) {
    if (stopped()) {
      return false;
    }
    bool more = source_.take(records);
    if (progress_) {
      progress_->update(source_.bytes_read() / 1'000'000);
    }
    return more;
  }

  void write(const EncodedChunk& chunk) {
    size_t at = 0;
    for (const EncodedChunk::Piece& piece : chunk.pieces) {
      const auto count = static_cast<size_t>(piece.ids);
      const std::span<const uint8_t> marks = chunk.learnt;
      to_validation_ = piece.begins ? piece.validation : to_validation_;
      (to_validation_ ? *validation_ : *train_)
          .add(piece, std::span(chunk.ids).subspan(at, count),
               chunk.marked ? marks.subspan(at, count) : marks);
      at += count;
    }
    result_.first_bad_row = result_.skipped_rows == 0 ? chunk.first_bad_row : result_.first_bad_row;
    result_.skipped_rows += chunk.skipped_rows;
    rendered_ += chunk.rendered;
  }

  void finish() {
    if (progress_) {
      progress_->finish();
    }
    const bool any_validation = validation_ && validation_->set().tokens_to_learn > 0;
    check_input(train_->set().tokens > 0 || any_validation,
                "the input holds no text: dataset has 0 tokens");
    check_input(train_->set().tokens > 0, "no training text is left: all of it went to validation");
    commit(any_validation);
  }

  /// Both parts at once: what ends it halfway leaves no part beside one of another split.
  void commit(bool any_validation) {
    const std::filesystem::path prefix = token_file_prefix(options_.output);
    const std::filesystem::path beside = validation_prefix(prefix);
    DatasetCommit commit;
    train_->stage(commit);
    result_.train = train_->set();
    if (rendered_ > 0) {
      commit.add(dataset_template_path(prefix), options_.chat.chat_template->source());
    }
    bool is_left = false;
    if (any_validation) {
      mark_as_split_off(beside, validation_->stage(commit), commit);
      result_.val = validation_->set();
    } else if (has_former_validation_part(prefix)) {
      commit.replace(beside);
      is_left = true;
    }
    if (stopped()) {
      return;
    }
    commit.commit();
    if (is_left) {
      log_info("removed '{}': it was split off what '{}' held before", beside.string(),
               prefix.string());
    }
  }

  const PrepareOptions& options_;
  const Tokenizer& tokenizer_;
  ChunkSource source_;
  std::unique_ptr<PartWriter> train_;
  std::unique_ptr<PartWriter> validation_;
  std::unique_ptr<Progress> progress_;
  bool to_validation_ = false;
  int64_t rendered_ = 0;  // conversations
  PrepareResult result_;
};

/// The files that a preparation writes or replaces.
std::vector<std::filesystem::path> files_to_write(const PrepareOptions& options) {
  const std::filesystem::path prefix = token_file_prefix(options.output);
  std::vector<std::filesystem::path> files = dataset_files(prefix);
  if (options.val_fraction > 0) {
    const auto more = dataset_files(validation_prefix(prefix));
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

/// What a killed process left of either part, whether or not this one splits.
void remove_leftovers_at(const std::filesystem::path& prefix) {
  for (const std::filesystem::path& part : {prefix, validation_prefix(prefix)}) {
    for (const std::filesystem::path& file : dataset_files(part)) remove_leftovers_of(file);
  }
}

/// The text is not to be lost under its own tokens.
void refuse_to_overwrite(const std::vector<std::string>& inputs,
                         const std::vector<std::filesystem::path>& files) {
  for (const std::string& input : inputs) {
    for (const std::filesystem::path& file : files) {
      if (input == "-" || !are_same(input, file)) continue;
      fail(Exit::usage, fmt::format("prepare-data: '{}' is both input and output", file.string()),
           "choose another --output");
    }
  }
}

}  // namespace

ValidationSplit parse_validation_split(std::string_view name) {
  check(name == "hash" || name == "tail", "val-split: '{}' is not known; choose hash, tail", name);
  return name == "hash" ? ValidationSplit::hash : ValidationSplit::tail;
}

PrepareResult prepare_data(const PrepareOptions& options, const Tokenizer& tokenizer) {
  check(!options.output.empty(), "prepare-data: no output prefix given");
  check(token_file_prefix(options.output).has_filename(),
        "prepare-data: '{}' is a folder; --output is the beginning of file names in it",
        options.output.string());
  check(options.val_fraction >= 0 && options.val_fraction < 1,
        "val_fraction: {} must be at least 0 and below 1", options.val_fraction);
  check(tokenizer.eos_id() >= 0 || !options.add_eos,
        "prepare-data: the tokenizer has no end-of-text token");
  refuse_to_overwrite(options.inputs, files_to_write(options));
  remove_leftovers_at(token_file_prefix(options.output));
  NewFolders folders(token_file_prefix(options.output).parent_path());
  PrepareResult result;
  try {
    result = Preparation(options, tokenizer).run();
  } catch (const Stopped&) {  // while it waited for its input
    result.stopped = true;
  }
  if (!result.stopped) {
    folders.keep();
  }
  return result;
}

}  // namespace llm
