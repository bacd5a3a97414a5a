#include "apps/model_files.h"

#include <array>

#include "base/atomic_file.h"
#include "base/file_io.h"
#include "gguf/gguf.h"
#include "tokenizer/hub_files.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 8> kTokenizerFiles = {
    "tokenizer.model", "tokenizer.json",          "tokenizer_config.json", "vocab.json",
    "merges.txt",      "special_tokens_map.json", "added_tokens.json",     "chat_template.jinja"};

}  // namespace

std::vector<fs::path> companion_files(const fs::path& model) {
  std::vector<fs::path> files;
  if (is_gguf_file(model)) {
    return files;
  }
  const fs::path folder = tokenizer_place(model);
  for (const char* name : kTokenizerFiles) {
    if (fs::is_regular_file(folder / name)) {
      files.push_back(folder / name);
    }
  }
  if (fs::is_regular_file(model / "generation_config.json")) {
    files.push_back(model / "generation_config.json");
  }
  return files;
}

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : companion_files(from)) {
    write_file_atomically(to / file.filename(), read_file(file));
  }
  if (!has_tokenizer(from)) {
    return;
  }
  const auto tokenizer = open_model_tokenizer(from, "");
  for (const TokenizerFile& file : model_directory_files(*tokenizer, model_chat_template(from))) {
    if (!fs::exists(to / file.name)) {
      write_file_atomically(to / file.name, file.bytes);
    }
  }
}

}  // namespace llm
