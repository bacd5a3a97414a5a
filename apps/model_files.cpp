#include "apps/model_files.h"

#include <array>

#include "base/atomic_file.h"
#include "base/file_io.h"
#include "gguf/gguf.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/hub_files.h"

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

std::vector<fs::path> companion_files(const fs::path& model) {
  std::vector<fs::path> files;
  if (is_gguf_file(model)) {
    return files;
  }
  const fs::path folder = tokenizer_folder(model);
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

std::unique_ptr<const Tokenizer> open_model_tokenizer(const fs::path& model,
                                                      const std::string& named) {
  const fs::path place = named.empty() ? tokenizer_folder(model) : fs::path(named);
  return is_gguf_file(place) ? load_gguf_tokenizer(place) : load_tokenizer(place);
}

bool has_tokenizer(const fs::path& model) {
  return is_gguf_file(model) ? gguf_has_tokenizer(*Gguf::open(model))
                             : holds_tokenizer(tokenizer_folder(model));
}

std::string model_chat_template(const fs::path& model) {
  if (is_gguf_file(model)) {
    return gguf_chat_template(*Gguf::open(model));
  }
  const fs::path folder = ChatTemplate::exists(model) ? model : tokenizer_folder(model);
  return ChatTemplate::exists(folder) ? ChatTemplate::load(folder).source() : "";
}

}  // namespace llm
