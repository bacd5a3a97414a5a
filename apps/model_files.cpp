#include "apps/model_files.h"

#include <array>

#include "base/atomic_file.h"
#include "base/file_io.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 8> kTokenizerFiles = {
    "tokenizer.model", "tokenizer.json",          "tokenizer_config.json", "vocab.json",
    "merges.txt",      "special_tokens_map.json", "added_tokens.json",     "chat_template.jinja"};

bool holds_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.model") || fs::exists(folder / "tokenizer.json");
}

// A checkpoint of a run may leave the tokenizer to the run directory.
fs::path tokenizer_folder(const fs::path& model) {
  if (fs::is_regular_file(model) || holds_tokenizer(model) ||
      !holds_tokenizer(model.parent_path())) {
    return model;
  }
  return model.parent_path();
}

}  // namespace

std::vector<fs::path> companion_files(const fs::path& directory) {
  std::vector<fs::path> files;
  const fs::path folder = tokenizer_folder(directory);
  for (const char* name : kTokenizerFiles) {
    if (fs::is_regular_file(folder / name)) {
      files.push_back(folder / name);
    }
  }
  if (fs::is_regular_file(directory / "generation_config.json")) {
    files.push_back(directory / "generation_config.json");
  }
  return files;
}

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : companion_files(from)) {
    const fs::path target = to / file.filename();
    if (!fs::exists(target)) {
      write_file_atomically(target, read_file(file));
    }
  }
}

std::unique_ptr<const Tokenizer> open_model_tokenizer(const fs::path& model,
                                                      const std::string& named) {
  return load_tokenizer(named.empty() ? tokenizer_folder(model) : fs::path(named));
}

bool has_tokenizer(const fs::path& model) {
  return fs::is_regular_file(model) || holds_tokenizer(tokenizer_folder(model));
}

}  // namespace llm
