// Learns the merges of a byte-level BPE from text.
//
// Text is cut into words by GPT-2's pattern; words are counted, and the most frequent pair of
// neighbours is merged again and again: of equally frequent pairs the one with the smaller ids. The
// merges are those of the BpeTrainer of Hugging Face's tokenizers on the same texts (min_frequency
// 0, ByteLevel pre-tokenizer without a prefix space). Deterministic. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm {

/// How often each word of a text occurs. Memory grows with the number of different words.
class WordCounts {
 public:
  WordCounts();
  /// A text by itself: no word reaches from one into the next.
  void add(std::string_view text);

  size_t size() const { return entries_.size(); }
  std::string_view word(size_t i) const {
    return std::string_view(bytes_).substr(entries_[i].begin, entries_[i].length);
  }
  uint64_t count(size_t i) const { return entries_[i].count; }

 private:
  struct Entry {
    uint64_t begin = 0;
    uint32_t length = 0, tag = 0;
    uint64_t count = 0;
  };
  void add_word(std::string_view word);
  void grow();

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index of an entry + 1; 0 = free
};

struct ByteBpeVocabulary {
  std::vector<std::string> pieces;  // in the printable byte alphabet; index = id
  std::vector<std::pair<int32_t, int32_t>> merges;
};

/// The pieces are `specials`, the 256 bytes, then one per merge; fewer than `vocab_size` when the
/// text has no more pairs.
ByteBpeVocabulary train_byte_bpe(const WordCounts& words, const std::vector<std::string>& specials,
                                 size_t vocab_size);

}  // namespace llm
