// A tokenizer of which every id is known by heart: pad 0, bos 1, eos 2, then one id a byte from 3
// on, and a few longer pieces.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llm::test {

class LetterTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kFirstByte = 3, kVocab = kFirstByte + 256;

  LetterTokenizer() {
    for (int byte = 0; byte < 256; ++byte)
      bytes_[static_cast<size_t>(byte)] = std::string(1, static_cast<char>(byte));
  }
  std::vector<int32_t> encode(std::string_view text) const override {
    if (before_encoding) before_encoding(text);
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(id_of(byte));
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) text += token_bytes(id);
    return text;
  }
  std::string_view token_bytes(int32_t id) const override {
    return id < kFirstByte ? std::string_view() : bytes_[static_cast<size_t>(id - kFirstByte)];
  }
  std::string_view token_text(int32_t id) const override {
    constexpr std::array kNames = {"<pad>", "<s>", "</s>"};
    return id < kFirstByte ? std::string_view(kNames[static_cast<size_t>(id)]) : token_bytes(id);
  }
  std::optional<int32_t> find_token(std::string_view) const override { return std::nullopt; }
  bool is_special(int32_t id) const override { return id < kFirstByte; }
  int64_t vocab_size() const override { return kVocab; }
  int32_t pad_id() const override { return 0; }
  int32_t bos_id() const override { return 1; }
  int32_t eos_id() const override { return 2; }
  int32_t unk_id() const override { return -1; }
  int32_t mask_id() const override { return -1; }
  const std::string& sha256() const override { return hash_; }
  std::string_view file_bytes() const override { return ""; }
  std::string_view file_name() const override { return "tokenizer.model"; }

  static int32_t id_of(char byte) { return kFirstByte + static_cast<uint8_t>(byte); }

  std::function<void(std::string_view text)> before_encoding;  // on whatever thread encodes

 private:
  std::array<std::string, 256> bytes_;
  std::string hash_ = std::string(64, 'a');
};

}  // namespace llm::test
