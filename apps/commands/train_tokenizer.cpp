// llm train-tokenizer: a SentencePiece model or a byte-level BPE from text files, JSON Lines, zstd
// or standard input.
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/commands.h"
#include "apps/key_rules.h"
#include "apps/shell_word.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/path_queries.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "data/text_reader.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_trainer.h"

namespace llm {
namespace {

constexpr size_t kSampleBytes = size_t{1} << 20;

struct TrainTokenizerConfig {
  TokenizerTrainerConfig tokenizer;
  std::vector<std::string> input;
  std::string output = "weights/tokenizer.model";
  std::string hf_output;
  std::string field;
  std::string action = "train";

  static const std::vector<KeyRule<TrainTokenizerConfig>>& rules();
  void fields(Fields& f) {
    f("input", input, "Text to learn from: text, JSON Lines, either as .zst, - for standard input")
        .flag("input")
        .flag_only()
        .required()
        .verbatim()
        .value_name("FILE");
    f("output", output, "The file to write", non_empty())
        .flag("output")
        .flag_only()
        .value_name("FILE");
    f("hf_output", hf_output,
      "Also write tokenizer.json and the files beside it for Hugging Face's libraries into this "
      "directory")
        .flag("hf-output")
        .flag_only()
        .value_name("DIR");
    f("field", field,
      "JSON Lines: the field that holds the text (otherwise text, content, conversations or prompt "
      "and response)")
        .flag("field")
        .flag_only();
    f("action", action, "The word in `llm tokenizer train`", one_of({"train"}))
        .flag_only()
        .hidden();
    f.section("tokenizer", tokenizer, "How to cut text into tokens");
    f.show_only({""});  // not --tokenizer-path, which names a tokenizer to use
    f.show_also({"tokenizer.vocab_size", "tokenizer.model_type", "tokenizer.byte_fallback",
                 "tokenizer.character_coverage", "tokenizer.max_sentences"});
    f.cross_check("output", [this, &f, defaults = texts_of(f)] {
      refuse_idle_keys(f, rules(), *this, defaults);
      return std::string();
    });
  }
};

const std::vector<KeyRule<TrainTokenizerConfig>>& TrainTokenizerConfig::rules() {
  static const std::vector<KeyRule<TrainTokenizerConfig>> all = {
      byte_bpe_rule<TrainTokenizerConfig>(),
      {{"field"},
       {"input"},
       [](const TrainTokenizerConfig& c) {
         return std::all_of(c.input.begin(), c.input.end(), [](const std::string& name) {
           return !rows_by_name(name).value_or(true);
         });
       },
       "with plain text",
       "it names a field of JSON Lines"},
  };
  return all;
}

/// Said before hours of reading, not after them.
void check_place(const std::filesystem::path& output) {
  check(!std::filesystem::is_directory(output),
        "--output: '{}' is a directory, expected a file to write", output.string());
  std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  while (!std::filesystem::exists(folder)) folder = folder.parent_path();  // the rest will be made
  if (::access((folder / "").c_str(), W_OK) != 0)  // with the slash a file is refused, too
    fail_errno(fmt::format("cannot write into '{}'", folder.string()));
}

/// The text is not to be lost under its own vocabulary.
void refuse_to_overwrite(const TrainTokenizerConfig& config) {
  for (const std::string& input : config.input) {
    if (input != "-" && are_same(input, config.output)) {
      fail(Exit::usage, fmt::format("--output: '{}' is the text to learn from", config.output),
           "name another file for the tokenizer");
    }
  }
}

void print_result(const TrainTokenizerConfig& config, const TokenizerTraining& training,
                  const std::string& sample) {
  const auto tokenizer = load_tokenizer(config.output);
  const size_t tokens = tokenizer->encode(sample).size();
  write_stdout(fmt::format(
      "tokenizer:       {}\nmodel type:      {}\nvocabulary:      {}\nsha256:          {}\n",
      config.output, config.tokenizer.model_type, training.vocab_size, training.sha256));
  write_stdout(fmt::format("text:            {} bytes, {} lines, {} of them used\n",
                           format_count(training.text_bytes), format_count(training.lines),
                           format_count(training.lines_used)));
  write_stdout(fmt::format(
      "bytes per token: {:.2f} on the first {} bytes\n",
      static_cast<double>(sample.size()) / static_cast<double>(std::max<size_t>(tokens, 1)),
      format_count(static_cast<int64_t>(sample.size()))));
}

void print_next_command(const TrainTokenizerConfig& config) {
  std::string inputs;
  for (const std::string& name : config.input) {
    inputs += ' ';
    inputs += name == "-" ? "FILE" : shell_word(name);
  }
  log_info("next: llm prepare-data --input{} --tokenizer-path {}", inputs,
           shell_word(config.output));
}

int run(TrainTokenizerConfig& config, const Fields& fields) {
  const std::string& type = config.tokenizer.model_type;
  if (type == "byte-bpe" && !fields.is_set("output")) config.output = "weights/tokenizer.json";
  check(config.hf_output.empty() || (type != "char" && type != "word"),
        "--hf-output: a tokenizer of type {} has no form that tokenizers reads (bpe, unigram and "
        "byte-bpe have)",
        type);
  refuse_to_overwrite(config);
  check_place(config.output);
  check(config.hf_output.empty() || !std::filesystem::exists(config.hf_output) ||
            std::filesystem::is_directory(config.hf_output),
        "--hf-output: '{}' is a file, expected a folder", config.hf_output);
  TextReaderOptions options;
  options.split = TextSplit::document;  // lines are found by the trainer
  options.field = config.field;
  options.invalid_utf8_hint = "iconv -c -f UTF-8 -t UTF-8 FILE leaves them out";
  TextReader reader(config.input, options);
  std::string sample;
  int64_t bytes = 0;
  const TextSource source = [&](std::string& text) {
    Document document;
    if (!reader.next(document)) {
      check_input(bytes > 0, "no text in '{}'", fmt::join(config.input, "', '"));
      log_info("training a {} tokenizer of {} pieces on {} of text", config.tokenizer.model_type,
               config.tokenizer.vocab_size, human_bytes(static_cast<uint64_t>(bytes)));
      return false;
    }
    text = std::move(document.text);
    bytes += static_cast<int64_t>(text.size());
    sample.append(text, 0, kSampleBytes - sample.size());
    return true;
  };
  const StopSignal stop;
  TokenizerTraining training;
  try {
    training =
        train_tokenizer(config.tokenizer, source, config.output, [&] { return stop.requested(); });
  } catch (const Stopped&) {
    log_warn("ended by {}; nothing was written", stop.name());
    return stop.exit_code();
  }
  if (!config.hf_output.empty()) write_hf_tokenizer(training.model, config.hf_output);
  print_result(config, training, sample);
  print_next_command(config);
  return 0;
}

}  // namespace

Command train_tokenizer_command() {
  return make_command<TrainTokenizerConfig>(
      {.name = "train-tokenizer",
       .aliases = {"tokenizer"},
       .summary =
           "Learn a vocabulary from text: SentencePiece BPE, unigram, char or word; byte-level BPE",
       .details = "Any bytes survive encoding and decoding as long as byte fallback is on. The "
                  "same text and settings give the same file.\n"
                  "Example: llm train-tokenizer --input corpus.txt --vocab-size 8000",
       .positional = "action"},
      run);
}

}  // namespace llm
