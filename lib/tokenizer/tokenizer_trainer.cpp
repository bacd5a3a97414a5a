#include "tokenizer/tokenizer_trainer.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <unordered_map>

#include "base/named_output.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/watched_work.h"
#include "tokenizer/byte_bpe_trainer.h"
#include "tokenizer/hub_files.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/settled_model.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/training_lines.h"

namespace llm {
namespace {

constexpr int64_t kSpecialPieces = 5, kBytePieces = 256;

/// Hands lines to SentencePiece and frees each one once it is taken.
class LineIterator : public sentencepiece::SentenceIterator {
 public:
  explicit LineIterator(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { std::string().swap(lines_[at_++]); }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  size_t at_ = 0;
};

std::unordered_map<std::string, std::string> settings(const TokenizerTrainerConfig& config,
                                                      bool has_tab) {
  const bool searches = config.model_type == "bpe" || config.model_type == "unigram";
  std::unordered_map<std::string, std::string> options{
      {"model_type", config.model_type},
      {"vocab_size", std::to_string(config.vocab_size)},
      {"byte_fallback", config.byte_fallback ? "true" : "false"},
      {"character_coverage", fmt::format("{}", config.character_coverage)},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", searches ? "true" : "false"},
      {"pad_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"unk_id", "3"},
      {"control_symbols", "<mask>"},
      {"unk_surface", "\xEF\xBF\xBD"},
      {"max_sentence_length", std::to_string(2 * kMaxLineBytes)},
      {"shuffle_input_sentence", "false"},
      {"num_threads", "4"},  // stands in the file and orders the sums of unigram training: the same
                             // on every machine
      {"minloglevel", "3"},
  };
  if (config.fewer_allowed) options["hard_vocab_limit"] = "false";
  // Without byte pieces these two would be lost: lines are cut at them before training.
  std::string alone;
  if (!config.byte_fallback && config.model_type != "char") alone += "\n";
  if (!config.byte_fallback && has_tab) alone += alone.empty() ? "\t" : ",\t";
  if (!alone.empty()) options["user_defined_symbols"] = alone;
  return options;
}

/// The last whole number in a message of SentencePiece.
std::optional<int64_t> last_number(std::string_view text) {
  const size_t last = text.find_last_of("0123456789");
  if (last == std::string_view::npos) return std::nullopt;
  size_t first = last;
  while (first > 0 && text[first - 1] >= '0' && text[first - 1] <= '9') --first;
  int64_t number = 0;
  std::from_chars(text.data() + first, text.data() + last + 1, number);
  return number;
}

[[noreturn]] void fail_training(const TokenizerTrainerConfig& config, std::string_view reason) {
  if (const size_t advice = reason.find("value <= "); advice != std::string_view::npos) {
    const auto most = last_number(reason);
    fail(Exit::bad_input,
         fmt::format("vocab_size {} is too high for this text; the most possible is {}",
                     config.vocab_size, most.value_or(0)),
         fmt::format("--vocab-size {}, or more text", most.value_or(0)));
  }
  if (const size_t sizes = reason.find(" vs ");
      sizes != std::string_view::npos && reason.find("required_chars") != std::string_view::npos) {
    const auto needed =
        last_number(reason.substr(0, reason.find_first_not_of("0123456789", sizes + 4)));
    fail(Exit::bad_input,
         fmt::format("vocab_size {} is too low for this text; its characters need at least {}",
                     config.vocab_size, needed.value_or(0) + 1),
         "a larger --vocab-size, or a lower --character-coverage");
  }
  fail(Exit::bad_input, fmt::format("SentencePiece cannot train on this text: {}", reason));
}

/// The first ids are a promise to every other part of the program.
void check_promises(const Tokenizer& tokenizer) {
  const bool fixed = tokenizer.pad_id() == 0 && tokenizer.bos_id() == 1 &&
                     tokenizer.eos_id() == 2 && tokenizer.unk_id() == 3 && tokenizer.mask_id() == 4;
  if (!fixed)
    fail(Exit::internal,
         "training gave the special tokens other ids than pad 0, bos 1, eos 2, unk 3, mask 4");
}

/// Takes every text of the source, and says now and then how far it is.
template <typename Take>
void take_texts(const TextSource& source, Progress& progress, const StopRequest& stop, Take take) {
  constexpr size_t kLookEvery = size_t{1} << 20;
  size_t bytes = 0, looked = 0;
  for (std::string text; source(text);) {
    bytes += text.size();
    if (bytes - looked >= kLookEvery) {
      looked = bytes;
      end_if_asked(stop);
      progress.update(0, fmt::format("{} MB read", bytes / 1'000'000));
    }
    take(text);
  }
  end_if_asked(stop);
}

/// What SentencePiece works on; shared with the thread that may outlive the caller.
struct SentencePieceJob {
  std::unordered_map<std::string, std::string> settings;
  LineIterator lines;
  std::string model;
  sentencepiece::util::Status status;
};

/// Byte-level BPE is this program's own; its file is a tokenizer.json.
TokenizerTraining train_byte_level(const TokenizerTrainerConfig& config, const TextSource& source,
                                   Progress& progress, const StopRequest& stop) {
  check(config.vocab_size > kSpecialPieces + kBytePieces,
        "vocab_size {} is too low: the special tokens and bytes alone are {}", config.vocab_size,
        kSpecialPieces + kBytePieces);
  TokenizerTraining result;
  const auto words = std::make_shared<WordCounts>();
  take_texts(source, progress, stop, [&](const std::string& text) {
    result.text_bytes += static_cast<int64_t>(text.size());
    result.lines += std::count(text.begin(), text.end(), '\n') + (text.ends_with('\n') ? 0 : 1);
    words->add(text);
  });
  result.lines_used = result.lines;
  check_input(words->size() > 0, "there is no text to train a tokenizer on ({} bytes read)",
              result.text_bytes);
  const auto learnt = std::make_shared<ByteBpeVocabulary>();
  run_watched(
      [words, learnt, pieces = static_cast<size_t>(config.vocab_size)] {
        *learnt = train_byte_bpe(*words, {"<pad>", "<s>", "</s>", "<unk>", "<mask>"}, pieces);
      },
      progress, stop);
  const ByteBpeVocabulary& vocabulary = *learnt;
  const auto most = static_cast<int64_t>(vocabulary.pieces.size());
  if (most < config.vocab_size && !config.fewer_allowed) {
    fail(Exit::bad_input,
         fmt::format("vocab_size {} is too high for this text; the most possible is {}",
                     config.vocab_size, most),
         fmt::format("--vocab-size {}, or more text", most));
  }
  TokenizerParts parts;
  for (const std::string& piece : vocabulary.pieces) parts.pieces.push_back({piece});
  for (size_t id = 0; id < kSpecialPieces; ++id) parts.pieces[id].type = PieceType::control;
  for (const auto& [left, right] : vocabulary.merges)
    parts.merges.emplace_back(vocabulary.pieces[static_cast<size_t>(left)],
                              vocabulary.pieces[static_cast<size_t>(right)]);
  result.model = write_tokenizer_json(parts);
  const auto tokenizer = load_tokenizer_bytes(result.model, "the trained tokenizer");
  check_promises(*tokenizer);
  result.vocab_size = tokenizer->vocab_size();
  result.sha256 = tokenizer->sha256();
  return result;
}

}  // namespace

TokenizerTraining train_tokenizer(const TokenizerTrainerConfig& config, const TextSource& source,
                                  const StopRequest& stop) {
  Progress progress(0, "training the tokenizer");
  if (config.model_type == "byte-bpe") return train_byte_level(config, source, progress, stop);
  const int64_t fixed_pieces = kSpecialPieces + (config.byte_fallback ? kBytePieces : 0);
  check(config.vocab_size > fixed_pieces,
        "vocab_size {} is too low: the special tokens{} alone are {}", config.vocab_size,
        config.byte_fallback ? " and byte pieces" : "", fixed_pieces);

  TrainingLines lines(config.max_sentences, config.model_type == "char");
  take_texts(source, progress, stop, [&](const std::string& text) { lines.add(text); });
  TokenizerTraining result;
  result.text_bytes = lines.text_bytes();
  result.lines = lines.lines();
  result.lines_used = lines.lines_used();
  std::vector<std::string> sample = lines.take();
  check_input(!sample.empty(), "there is no text to train a tokenizer on ({} bytes read)",
              result.text_bytes);

  const auto job = std::make_shared<SentencePieceJob>(
      SentencePieceJob{settings(config, lines.has_tab()), LineIterator(std::move(sample)), {}, {}});
  const auto train = [job] {
    job->status =
        sentencepiece::SentencePieceTrainer::Train(job->settings, &job->lines, &job->model);
  };
  run_watched(train, progress, stop);
  if (!job->status.ok()) fail_training(config, job->status.error_message());
  result.model = settled_model(job->model);
  const auto tokenizer = load_tokenizer_bytes(result.model, "the trained tokenizer");
  check_promises(*tokenizer);
  result.vocab_size = tokenizer->vocab_size();
  result.sha256 = tokenizer->sha256();
  return result;
}

TokenizerTraining train_tokenizer(const TokenizerTrainerConfig& config, const TextSource& source,
                                  const std::filesystem::path& output, const StopRequest& stop) {
  TokenizerTraining result = train_tokenizer(config, source, stop);
  write_named_output(output, result.model);
  return result;
}

void write_hf_tokenizer(const std::string& model, const std::filesystem::path& directory) {
  const auto tokenizer = load_tokenizer_bytes(model, "the trained tokenizer");
  std::vector<TokenizerFile> files = hub_files(*tokenizer, "");
  for (TokenizerFile& file : tokenizer->files()) {
    if (file.name == "tokenizer.json") files.push_back(std::move(file));
  }
  for (const TokenizerFile& file : files) write_named_output(directory / file.name, file.bytes);
}

}  // namespace llm
