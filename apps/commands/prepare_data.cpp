// llm prepare-data: text into the token files that training reads; also shows and checks such
// files.
#include <fmt/format.h>

#include <memory>

#include "apps/commands.h"
#include "apps/prepare_config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "data/loss_mask.h"
#include "data/token_file.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

std::string describe(const TokenFile& file) {
  const auto bytes = std::filesystem::file_size(token_bin_path(file.prefix()));
  const LossMask* mask = file.loss_mask();
  return fmt::format(
      "dataset:    {}\ndocuments:  {}\ntokens:     {}\n{}size:       {}\ntokenizer:  sha256 {}\n",
      file.prefix().string(), file.sequences(), file.tokens(),
      mask == nullptr ? "" : fmt::format("to learn:   {}\n", mask->tokens_to_learn()),
      human_bytes(bytes), file.tokenizer_sha256());
}

int show(const std::string& prefix) {
  write_stdout(describe(TokenFile::open(prefix)));
  return 0;
}

int check_in_full(const PrepareDataConfig& config) {
  TokenFileChecks checks;
  if (!config.tokenizer_path.empty()) {
    auto tokenizer = load_tokenizer(config.tokenizer_path);
    checks = {tokenizer->sha256(), tokenizer->vocab_size()};
  }
  TokenFileReport report = verify_token_file(config.verify, checks);
  write_stdout(describe(TokenFile::open(config.verify)));
  write_stdout(fmt::format(
      "longest:    {} tokens\nlargest id: {}{}\nverified:   every length and every id{}\n",
      report.longest_sequence, report.largest_id,
      checks.vocab_size ? fmt::format(" of {}", *checks.vocab_size) : " (vocabulary not given)",
      report.checksums ? ", every block by its checksum" : "; there is no PREFIX.sum"));
  return 0;
}

std::string line_of(const char* name, const PreparedSet& set) {
  if (set.prefix.empty()) {
    return {};
  }
  const std::string share = set.tokens_to_learn == set.tokens
                                ? ""
                                : fmt::format(" ({} to learn)", format_count(set.tokens_to_learn));
  return fmt::format("{:<11} {}  {} documents, {} tokens{}, {} bytes of text\n", name,
                     set.prefix.string(), format_count(set.documents), format_count(set.tokens),
                     share, format_count(set.text_bytes));
}

void report(const PrepareResult& result, double val_fraction) {
  if (result.skipped_rows > 0) {
    log_warn("{} bad rows were left out; the first: {}", result.skipped_rows, result.first_bad_row);
  }
  if (val_fraction > 0 && result.val.prefix.empty()) {
    log_warn("{}", kNoValidationDocument);
  }
  write_stdout(line_of("train:", result.train) + line_of("validation:", result.val));
  double tokens = static_cast<double>(result.train.tokens + result.val.tokens);
  double bytes = static_cast<double>(result.train.text_bytes + result.val.text_bytes);
  log_info("{:.1f} s, {:.1f} MB/s, {} tokens/s", result.seconds, bytes / 1e6 / result.seconds,
           human_count(static_cast<int64_t>(tokens / result.seconds)));
}

/// Where the chat template lies: of a run directory, in its model.
std::filesystem::path model_beside(const std::filesystem::path& tokenizer) {
  for (const char* name : {"final", "best", "latest"}) {
    if (ChatTemplate::exists(tokenizer / name)) {
      return tokenizer / name;
    }
  }
  return tokenizer;
}

int prepare(PrepareDataConfig& config) {
  check(!config.input.empty(), "--input is required");
  check(!config.tokenizer_path.empty(), "--tokenizer-path is required");
  auto tokenizer = load_tokenizer(config.tokenizer_path);
  StopSignal stop;
  PrepareOptions options = config.data.text.prepare_options();
  options.inputs = config.input;
  options.output = config.output;
  options.chat =
      open_chat_format(config.data.text, *tokenizer, model_beside(config.tokenizer_path));
  options.seed =
      config.runtime.seed < 0 ? fresh_seed() : static_cast<uint64_t>(config.runtime.seed);
  options.workers = config.workers.value_or(0);
  options.show_progress = !log_is_quiet();
  options.stop_requested = [&] { return stop.requested(); };
  if (config.runtime.seed < 0 && options.val_fraction > 0) {
    log_info("seed {}", options.seed);
  }
  PrepareResult result = prepare_data(options, *tokenizer);
  if (result.stopped) {
    log_warn("ended by {}; nothing was written", stop.name());
    return stop.exit_code();
  }
  report(result, options.val_fraction);
  return 0;
}

int run(PrepareDataConfig& config, const Fields&) {
  check(config.verify.empty() || config.info.empty(),
        "--verify and --info cannot be used together");
  check(config.input.empty() || (config.verify.empty() && config.info.empty()),
        "--input cannot be used with --verify or --info");
  if (!config.info.empty()) {
    return show(config.info);
  }
  return config.verify.empty() ? prepare(config) : check_in_full(config);
}

}  // namespace

Command prepare_data_command() {
  return make_command<PrepareDataConfig>(
      {.name = "prepare-data",
       .summary =
           "Turn text into the token files that training reads; check and describe such files",
       .details =
           "Rows of JSON are recognised by their keys: text, content, prompt + response, "
           "instruction + output, conversations, messages, conversation.\n"
           "Example: llm prepare-data --input corpus.jsonl.zst --tokenizer-path "
           "weights/tokenizer.model --output data/train --val-fraction 0.01\n"
           "         llm prepare-data --verify data/train --tokenizer-path weights/tokenizer.model",
       .positional = "input"},
      run);
}

}  // namespace llm
