// The simplest tokenizer: byte b is id 5 + b, after pad 0, bos 1, eos 2, unk 3, mask 4. Ids in
// tests can be read off the text.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llm {

class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer() {
    for (int b = 0; b < 256; ++b) {
      bytes_.push_back(std::string(1, static_cast<char>(b)));
    }
  }
  std::vector<int32_t> encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    for (unsigned char c : text) {
      ids.push_back(5 + c);
    }
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids) {
      text += token_bytes(id);
    }
    return text;
  }
  std::string_view token_bytes(int32_t id) const override {
    return is_special(id) ? std::string_view() : bytes_[static_cast<size_t>(id - 5)];
  }
  std::string_view token_text(int32_t id) const override { return token_bytes(id); }
  std::optional<int32_t> find_token(std::string_view) const override { return std::nullopt; }
  bool is_special(int32_t id) const override { return id < 5; }
  int64_t vocab_size() const override { return 261; }
  int32_t pad_id() const override { return 0; }
  int32_t bos_id() const override { return 1; }
  int32_t eos_id() const override { return 2; }
  int32_t unk_id() const override { return 3; }
  int32_t mask_id() const override { return 4; }
  const std::string& sha256() const override { return sha256_; }
  std::string_view file_bytes() const override { return {}; }
  std::string_view file_name() const override { return "bytes"; }

 private:
  std::vector<std::string> bytes_;
  std::string sha256_ = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
};

}  // namespace llm
