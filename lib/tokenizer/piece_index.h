// A hash table from texts to ids, for texts that live elsewhere and do not move.
//
// Open addressing with a table at most half full. The hash is keyed by a random word per table, so
// that nobody can prepare a file whose pieces all collide; the key has no influence on any result.
// find() is const and thread-safe once everything is inserted.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace llm {

/// 64 bits that depend on every byte of `text` and on `key`.
inline uint64_t hash_text(std::string_view text, uint64_t key) {
  const auto mix = [](uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ull;
  const char* at = text.data();
  size_t left = text.size();
  uint64_t state = key ^ (left * kOdd);
  for (; left > 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = mix(state ^ word, kOdd);
  }
  uint64_t word = 0;
  if (left >= 4) {  // two reads that overlap cover 4 to 8 bytes
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    word = static_cast<uint64_t>(high) << 32 | low;
  } else if (left > 0) {
    word = static_cast<uint64_t>(static_cast<uint8_t>(at[0])) |
           static_cast<uint64_t>(static_cast<uint8_t>(at[left / 2])) << 8 |
           static_cast<uint64_t>(static_cast<uint8_t>(at[left - 1])) << 16;
  }
  return mix(state ^ word, kOdd ^ key);
}

class PieceIndex {
 public:
  /// Room for `texts` entries.
  explicit PieceIndex(size_t texts = 0);

  /// Adds text -> id, or gives the id that this text has already (then nothing changes). -1 =
  /// added. Not more often than there is room.
  int32_t insert(std::string_view text, int32_t id);

  /// The id, or -1.
  int32_t find(std::string_view text) const {
    const uint64_t hash = hash_text(text, key_);
    for (size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
      const Slot& entry = slots_[slot];
      if (entry.id < 0) return -1;
      if (entry.tag == static_cast<uint32_t>(hash >> 32) && entry.length == text.size() &&
          std::memcmp(entry.text, text.data(), text.size()) == 0)
        return entry.id;
    }
  }

 private:
  struct Slot {
    const char* text = nullptr;
    uint32_t length = 0;
    uint32_t tag = 0;
    int32_t id = -1;
  };
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  uint64_t key_ = 0;
};

}  // namespace llm
