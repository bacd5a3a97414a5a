// The first 64 bytes of PREFIX.index (data/token_file.h has the whole layout).
#pragma once

#include <cstddef>
#include <cstdint>

namespace llm {

inline constexpr char kTokenIndexMagic[8] = {'L', 'L', 'M', 'I', 'D', 'X', '1', '\0'};
inline constexpr uint32_t kTokenFileInt32 = 4;

struct TokenIndexHeader {
  char magic[8];
  uint32_t version;
  uint32_t dtype;
  uint64_t sequences;
  uint64_t tokens;
  unsigned char tokenizer_sha256[32];
};
static_assert(sizeof(TokenIndexHeader) == 64);
inline constexpr size_t kTokenizerHashOffset = offsetof(TokenIndexHeader, tokenizer_sha256);

}  // namespace llm
