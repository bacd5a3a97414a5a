// Finds out what kind of file a tokenizer path names and says so when it is not one.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = size_t{64} << 20;

bool begins_with_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

bool is_base64_and_rank(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space % 4 != 0 || space + 1 == line.size())
    return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_base64 = [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
  };
  std::string_view token = line.substr(0, space), rank = line.substr(space + 1);
  for (int i = 0; i < 2 && token.ends_with('='); ++i) token.remove_suffix(1);
  return std::all_of(token.begin(), token.end(), is_base64) && rank.size() <= 10 &&
         std::all_of(rank.begin(), rank.end(), is_digit);
}

/// The tiktoken form of a tokenizer.model (Llama 3): lines "base64 rank". Recognised by most of its
/// first lines, so that a damaged line can be named.
void refuse_tiktoken(std::string_view file, std::string_view name) {
  constexpr int kLinesToJudge = 16;
  int line_number = 0, good = 0, first_bad = 0;
  for (size_t at = 0; at < file.size(); ++line_number) {
    const size_t end = std::min(file.find('\n', at), file.size());
    std::string_view line = file.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (is_base64_and_rank(line))
      ++good;
    else if (first_bad == 0)
      first_bad = line_number + 1;
    if (line_number == kLinesToJudge && good < kLinesToJudge / 2) return;
  }
  if (2 * good <= line_number || good == 0) return;
  if (first_bad > 0)
    fail(Exit::bad_input,
         fmt::format("'{}' line {}: not a base64 token and a rank", name, first_bad));
  fail(Exit::bad_input,
       fmt::format(
           "'{}' is a tiktoken vocabulary ({} tokens); this version reads SentencePiece models",
           name, good));
}

/// Throws if the file is plainly something else than a SentencePiece model.
void recognise(std::string_view file, std::string_view name) {
  check_input(!file.empty(), "tokenizer '{}' is empty (0 bytes)", name);
  if (file.starts_with("version https://git-lfs.github.com/spec/")) {
    fail(Exit::bad_input,
         fmt::format("'{}' is a Git LFS pointer ({} bytes), not the file", name, file.size()),
         "git lfs pull");
  }
  std::string_view visible = file;
  if (visible.starts_with("\xEF\xBB\xBF")) visible.remove_prefix(3);
  visible.remove_prefix(std::min(visible.find_first_not_of(" \t\r\n"), visible.size()));
  if (begins_with_ignoring_case(visible, "<!doctype html") ||
      begins_with_ignoring_case(visible, "<html")) {
    fail(Exit::bad_input, fmt::format("'{}' looks like an HTML page; the download failed", name));
  }
  if (visible.starts_with('{') && visible.size() > 1 &&
      std::strchr("\"} \t\r\n", visible[1]) != nullptr) {
    fail(Exit::bad_input, fmt::format("'{}' is JSON; this version reads SentencePiece models "
                                      "(tokenizer.model), not tokenizer.json",
                                      name));
  }
  if (file[0] != '\n') refuse_tiktoken(file, name);
}

fs::path file_in(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  if (fs::exists(path / "tokenizer.model", error)) return path / "tokenizer.model";
  if (fs::exists(path / "tokenizer.json", error)) return path / "tokenizer.json";
  fail(Exit::bad_input,
       fmt::format("no tokenizer in '{}' (neither tokenizer.model nor tokenizer.json)",
                   path.string()),
       "llm train-tokenizer --input FILE makes one; --tokenizer-path names it");
}

}  // namespace

std::unique_ptr<const Tokenizer> load_tokenizer(const fs::path& file_or_directory) {
  const fs::path path = file_in(file_or_directory);
  const std::string name = path.string();
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found || status.type() == fs::file_type::none) {
    errno = error ? error.value() : ENOENT;
    fail_errno(fmt::format("cannot open tokenizer '{}'", name), Exit::bad_input);
  }
  check_input(fs::is_regular_file(status), "tokenizer '{}' is not a regular file", name);
  const MappedFile file = MappedFile::open(path, AccessPattern::sequential, Exit::bad_input);
  if (file.size() > kMaxFileBytes) {  // what is wrong with it is more telling than its size
    recognise(file.text().substr(0, kMaxFileBytes), name);
    read_sentencepiece_model(file.text(), name);
    fail(Exit::bad_input, fmt::format("'{}' has {} bytes; a tokenizer has at most {}", name,
                                      file.size(), kMaxFileBytes));
  }
  return load_tokenizer_bytes(std::string(file.text()), name);
}

std::unique_ptr<const Tokenizer> load_tokenizer_bytes(std::string bytes, std::string_view name) {
  recognise(bytes, name);
  return std::make_unique<SentencePieceTokenizer>(std::move(bytes), name);
}

void check_vocabulary(const Tokenizer& tokenizer, int64_t rows) {
  if (tokenizer.vocab_size() == rows) return;
  fail(Exit::bad_input,
       fmt::format("tokenizer has {} pieces, checkpoint embedding has {} rows",
                   tokenizer.vocab_size(), rows),
       "give the tokenizer that the model was trained with");
}

void check_dataset_tokenizer(const Tokenizer& tokenizer, std::string_view dataset_sha256) {
  if (dataset_sha256 == tokenizer.sha256()) return;
  fail(Exit::bad_input,
       fmt::format("dataset was made with another tokenizer (sha256 {}…, this is {}…)",
                   dataset_sha256.substr(0, 8), tokenizer.sha256().substr(0, 8)),
       "tokenize the text again: llm prepare-data");
}

}  // namespace llm
