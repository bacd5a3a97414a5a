#include "tokenizer/hub_files.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm {

std::vector<TokenizerFile> hub_files(const Tokenizer& tokenizer, std::string_view chat_template) {
  const std::vector<TokenizerFile> own = tokenizer.files();
  std::vector<TokenizerFile> added;
  const auto add = [&](const char* name, const auto& text) {
    const bool there = std::any_of(own.begin(), own.end(),
                                   [&](const TokenizerFile& file) { return file.name == name; });
    if (!there) added.push_back({name, text()});
  };
  const TokenizerParts parts = tokenizer_parts(tokenizer);
  add("tokenizer.json", [&] { return write_tokenizer_json(parts); });
  add("tokenizer_config.json", [&] { return write_tokenizer_config(parts, chat_template); });
  add("special_tokens_map.json", [&] { return write_special_tokens_map(parts); });
  return added;
}

std::vector<TokenizerFile> model_directory_files(const Tokenizer& tokenizer,
                                                 std::string_view chat_template) {
  std::vector<TokenizerFile> files = tokenizer.files();
  try {
    for (TokenizerFile& file : hub_files(tokenizer, chat_template)) {
      files.push_back(std::move(file));
    }
  } catch (const Error&) {
    // Hugging Face's libraries have no such tokenizer: the model directory holds ours alone.
  }
  return files;
}

}  // namespace llm
