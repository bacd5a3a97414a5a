// Writes SentencePiece model files piece by piece, also wrong ones.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_model.h"

namespace llm::test {

inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string number_field(uint32_t field, uint64_t value) {
  return varint(field << 3) + varint(value);
}
inline std::string bytes_field(uint32_t field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string float_field(uint32_t field, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  std::string out = varint(field << 3 | 5);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

struct ModelBuilder {
  std::string pieces;
  std::string trainer = number_field(3, 2);  // BPE
  std::string normalizer = bytes_field(1, "identity") + number_field(3, 0) + number_field(4, 0);
  int count = 0;

  ModelBuilder& piece(std::string_view text, PieceType type = PieceType::normal, float score = 0) {
    pieces += bytes_field(1, bytes_field(1, text) + float_field(2, score) +
                                 number_field(3, static_cast<uint64_t>(type)));
    ++count;
    return *this;
  }
  /// <pad> <s> </s> <unk> <mask>
  ModelBuilder& specials() {
    piece("<pad>", PieceType::control)
        .piece("<s>", PieceType::control)
        .piece("</s>", PieceType::control);
    return piece("<unk>", PieceType::unknown).piece("<mask>", PieceType::control);
  }
  ModelBuilder& bytes() {
    trainer += number_field(35, 1);
    for (int byte = 0; byte < 256; ++byte) {
      const char* digits = "0123456789ABCDEF";
      piece(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", PieceType::byte);
    }
    return *this;
  }
  /// Normal pieces with falling scores, as a BPE trainer writes them.
  ModelBuilder& merges(const std::vector<std::string>& texts) {
    float score = 0;
    for (const std::string& text : texts) piece(text, PieceType::normal, score--);
    return *this;
  }
  std::string build() const {
    return pieces + bytes_field(2, trainer) + bytes_field(3, normalizer);
  }
};

/// A BPE model that learned "the" and little else.
inline std::string small_bpe_model() {
  return ModelBuilder()
      .specials()
      .bytes()
      .merges({"th", "the", "\xE2\x96\x81the", "t", "h", "e", "\xE2\x96\x81"})
      .build();
}

}  // namespace llm::test
