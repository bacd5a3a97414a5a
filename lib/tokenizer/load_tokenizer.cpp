// Finds out what kind of file a tokenizer path names and says so when it is not one.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file_io.h"
#include "base/mapped_file.h"
#include "base/wrong_content.h"
#include "gguf/gguf.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/sentencepiece_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tiktoken_file.h"
#include "tokenizer/tokenizer_json.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = size_t{64} << 20;

/// Throws if the file is plainly something else than a SentencePiece model.
void recognise(std::string_view file, std::string_view name) {
  check_input(!file.empty(), "tokenizer '{}' is empty (0 bytes)", name);
  refuse_wrong_content(file, file.size(), name);
}

/// An object begins like this; a SentencePiece model never does.
bool looks_like_json(std::string_view file) {
  if (file.starts_with("\xEF\xBB\xBF")) file.remove_prefix(3);
  file.remove_prefix(std::min(file.find_first_not_of(" \t\r\n"), file.size()));
  return file.size() > 1 && file[0] == '{' && std::strchr("\"} \t\r\n", file[1]) != nullptr;
}

/// The files beside `path` that belong to the tokenizer.
std::vector<TokenizerFile> companions_of(const fs::path& path) {
  std::vector<TokenizerFile> files;
  for (const std::string_view name : companion_file_names()) {
    const fs::path file = path.parent_path() / name;
    if (fs::is_regular_file(file)) files.push_back({std::string(name), read_file(file)});
  }
  return files;
}

std::unique_ptr<const Tokenizer> make(std::string bytes, std::string_view name,
                                      std::vector<TokenizerFile> companions) {
  recognise(bytes, name);
  const bool is_json = looks_like_json(bytes);
  if (!is_json && (bytes[0] == '\n' || !looks_like_tiktoken(bytes)))
    return std::make_unique<SentencePieceTokenizer>(std::move(bytes), name, std::move(companions));
  PipelineStages stages = is_json ? read_tokenizer_json(bytes, name) : read_tiktoken(bytes, name);
  find_special_tokens(stages, companions, name);
  companions.insert(companions.begin(),
                    {is_json ? "tokenizer.json" : "tokenizer.model", std::move(bytes)});
  return std::make_unique<PipelineTokenizer>(std::move(stages), std::move(companions));
}

fs::path file_in(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / "tokenizer.model")) return path / "tokenizer.model";
  if (fs::exists(path / "tokenizer.json")) return path / "tokenizer.json";
  fail(Exit::bad_input,
       fmt::format("no tokenizer in '{}' (neither tokenizer.model nor tokenizer.json)",
                   path.string()),
       "llm train-tokenizer --input FILE makes one; --tokenizer-path names it");
}

}  // namespace

std::unique_ptr<const Tokenizer> load_tokenizer(const fs::path& file_or_directory) {
  const fs::path path = file_in(file_or_directory);
  const std::string name = path.string();
  const fs::file_status status = fs::status(path);
  if (status.type() == fs::file_type::not_found) {
    errno = ENOENT;
    fail_errno(fmt::format("cannot open tokenizer '{}'", name), Exit::bad_input);
  }
  check_input(fs::is_regular_file(status), "tokenizer '{}' is not a regular file", name);
  if (is_gguf_file(path)) return load_gguf_tokenizer(path);
  const MappedFile file = MappedFile::open(path, AccessPattern::sequential, Exit::bad_input);
  if (file.size() > kMaxFileBytes) {  // what is wrong with it is more telling than its size
    recognise(file.text().substr(0, kMaxFileBytes), name);
    read_sentencepiece_model(file.text(), name);
    fail(Exit::bad_input, fmt::format("'{}' has {} bytes; a tokenizer has at most {}", name,
                                      file.size(), kMaxFileBytes));
  }
  return make(std::string(file.text()), name, companions_of(path));
}

std::unique_ptr<const Tokenizer> load_tokenizer_bytes(std::string bytes, std::string_view name) {
  return make(std::move(bytes), name, {});
}

void check_vocabulary(const Tokenizer& tokenizer, int64_t rows) {
  const int64_t pieces = tokenizer.vocab_size();
  // Padding as published models have it. A difference that no padding explains is another
  // tokenizer.
  if (pieces <= rows && rows <= pieces + std::max<int64_t>(127, pieces / 8)) return;
  bool only_special_beyond = pieces <= rows + 127;
  for (int64_t id = rows; id < pieces && only_special_beyond; ++id)
    only_special_beyond = tokenizer.is_special(static_cast<int32_t>(id));
  if (only_special_beyond && pieces > rows && rows > 0) return;
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
