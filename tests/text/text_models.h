// Model directories of the fixtures with a tokenizer, small enough to know by heart.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "tests/support/temporary_folder.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm::test {

inline constexpr int32_t kStart = 0, kEnd = 1, kFirstLetter = 2;

/// <s>, </s>, then an id per letter from 'A' to 'z', a space, a newline, and the two bytes of "é".
inline std::unique_ptr<const Tokenizer> letters() {
  TokenizerParts parts;
  parts.pieces = {{"<s>", 0, PieceType::control}, {"</s>", 0, PieceType::control}};
  for (char c = 'A'; c <= 'z'; ++c) parts.pieces.push_back({std::string(1, c)});
  for (const char* byte : {"\u0120", "\u010a", "\u00c3", "\u00a9"})  // in GPT-2's alphabet
    parts.pieces.push_back({byte});
  parts.bos_id = kStart;
  parts.eos_id = kEnd;
  return make_tokenizer(parts, "letters");
}

/// `fixture` ("llama" runs packed where the CPU can, "gpt2" never) with letters() as its tokenizer
/// and, where not empty, a chat template.
inline std::filesystem::path write_text_model(const TemporaryFolder& folder, const char* fixture,
                                              std::string_view chat_template = {}) {
  const std::filesystem::path from =
      std::filesystem::path(LLM_SOURCE_DIR) / "tests/fixtures/hf" / fixture;
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors"})
    std::filesystem::copy_file(from / name, folder / name);
  for (const TokenizerFile& file : letters()->files()) folder.write(file.name, file.bytes);
  if (!chat_template.empty()) folder.write("chat_template.jinja", chat_template);
  return folder.path();
}

}  // namespace llm::test
