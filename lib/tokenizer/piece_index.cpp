#include "tokenizer/piece_index.h"

#include <bit>

#include "base/random.h"

namespace llm {

PieceIndex::PieceIndex(size_t texts)
    : slots_(std::bit_ceil(2 * texts + 2)), mask_(slots_.size() - 1), key_(fresh_seed()) {}

int32_t PieceIndex::insert(std::string_view text, int32_t id) {
  const int32_t known = find(text);
  if (known >= 0) return known;
  const uint64_t hash = hash_text(text, key_);
  size_t slot = hash & mask_;
  while (slots_[slot].id >= 0) slot = (slot + 1) & mask_;
  slots_[slot] = {text.data(), static_cast<uint32_t>(text.size()),
                  static_cast<uint32_t>(hash >> 32), id};
  return -1;
}

}  // namespace llm
