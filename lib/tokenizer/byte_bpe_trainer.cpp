#include "tokenizer/byte_bpe_trainer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/word_model.h"
#include "tokenizer/word_patterns.h"

namespace llm {
namespace {

constexpr uint64_t kHashKey = 0x5851F42D4C957F2Dull;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// What is known of each pair: its count, and the words in which it came up during this merge.
class PairTable {
 public:
  struct Pair {
    uint64_t key = 0;
    int64_t count = 0;
    std::vector<uint32_t> words;  // handed to the agenda after each merge
  };

  PairTable() : slots_(1 << 16) {}

  /// The index of a pair, which stays the same.
  uint32_t find(uint64_t key) {
    if (2 * pairs_.size() >= slots_.size()) grow();
    size_t at = place(key);
    for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
      if (pairs_[slots_[at] - 1].key == key) return slots_[at] - 1;
    }
    pairs_.push_back({.key = key, .count = 0, .words = {}});
    slots_[at] = static_cast<uint32_t>(pairs_.size());
    return slots_[at] - 1;
  }
  Pair& operator[](uint32_t index) { return pairs_[index]; }
  size_t size() const { return pairs_.size(); }

 private:
  size_t place(uint64_t key) const {
    return ((key ^ (key >> 29)) * 0x9E3779B97F4A7C15ull >> 20) & (slots_.size() - 1);
  }
  void grow() {
    slots_.assign(4 * slots_.size(), 0);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      size_t at = place(pairs_[i].key);
      while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<uint32_t>(i + 1);
    }
  }
  std::vector<Pair> pairs_;
  std::vector<uint32_t> slots_;
};

struct Candidate {
  int64_t count;
  uint64_t key;
  uint32_t pair;
  std::vector<uint32_t> words;
};
struct Later {  // the heap's top has the highest count, then the smallest pair
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.count != b.count ? a.count < b.count : a.key > b.key;
  }
};

class Trainer {
 public:
  Trainer(const WordCounts& words, const std::vector<std::string>& specials) {
    for (const std::string& special : specials) add_piece(special);
    add_alphabet();
    for (size_t i = 0; i < words.size(); ++i) add_word(words.word(i), words.count(i));
  }

  ByteBpeVocabulary train(size_t vocab_size) {
    count_pairs();
    while (vocabulary_.pieces.size() < vocab_size && !agenda_.empty()) {
      Candidate top = pop();
      const int64_t now = pairs_[top.pair].count;
      if (top.count != now) {  // it lost some to other merges since
        top.count = now;
        push(std::move(top));
        continue;
      }
      if (now < 1) break;
      merge(top);
    }
    return std::move(vocabulary_);
  }

 private:
  void add_piece(const std::string& text) {
    if (ids_.emplace(text, static_cast<int32_t>(vocabulary_.pieces.size())).second)
      vocabulary_.pieces.push_back(text);
  }

  /// The bytes in the order of the characters that spell them.
  void add_alphabet() {
    std::array<std::pair<std::string, size_t>, 256> spelled;
    for (size_t byte = 0; byte < 256; ++byte) {
      const char text = static_cast<char>(byte);
      spelled[byte] = {to_byte_alphabet({&text, 1}), byte};
    }
    std::sort(spelled.begin(), spelled.end(), [](const auto& a, const auto& b) {
      return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
    for (const auto& [text, byte] : spelled) {
      add_piece(text);
      byte_ids_[byte] = ids_.at(text);
    }
  }

  void add_word(std::string_view word, uint64_t count) {
    begins_.push_back(symbols_.size());
    lengths_.push_back(static_cast<uint32_t>(word.size()));
    counts_.push_back(static_cast<int64_t>(count));
    for (const char byte : word) symbols_.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  }

  void change(int32_t left, int32_t right, int64_t by, uint32_t word) {
    const uint32_t index = pairs_.find(pair_key(left, right));
    PairTable::Pair& pair = pairs_[index];
    pair.count += by;
    if (by <= 0) return;
    if (pair.words.empty()) touched_.push_back(index);
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }

  void count_pairs() {
    for (uint32_t word = 0; word < begins_.size(); ++word) {
      const int32_t* symbols = &symbols_[begins_[word]];
      for (uint32_t i = 0; i + 1 < lengths_[word]; ++i)
        change(symbols[i], symbols[i + 1], counts_[word], word);
    }
    queue_touched();
  }

  void queue_touched() {
    for (const uint32_t index : touched_) {
      PairTable::Pair& pair = pairs_[index];
      std::vector<uint32_t> words;
      words.swap(pair.words);
      if (pair.count > 0) push({pair.count, pair.key, index, std::move(words)});
    }
    touched_.clear();
  }

  void merge(const Candidate& top) {
    const auto left = static_cast<int32_t>(top.key >> 32);
    const auto right = static_cast<int32_t>(top.key & 0xFFFFFFFFu);
    const std::string joined = vocabulary_.pieces[static_cast<size_t>(left)] +
                               vocabulary_.pieces[static_cast<size_t>(right)];
    add_piece(joined);  // another merge may have made it before
    const int32_t piece = ids_.at(joined);
    vocabulary_.merges.emplace_back(left, right);
    for (const uint32_t word : top.words) merge_in(word, left, right, piece);
    queue_touched();
  }

  void merge_in(uint32_t word, int32_t left, int32_t right, int32_t piece) {
    int32_t* symbols = &symbols_[begins_[word]];
    const uint32_t length = lengths_[word];
    const int64_t count = counts_[word];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < length; ++i) {
      if (symbols[i] != left || i + 1 == length || symbols[i + 1] != right) {
        symbols[kept++] = symbols[i];
        continue;
      }
      if (kept > 0) {
        change(symbols[kept - 1], left, -count, word);
        change(symbols[kept - 1], piece, count, word);
      }
      if (i + 2 < length) {
        change(right, symbols[i + 2], -count, word);
        change(piece, symbols[i + 2], count, word);
      }
      symbols[kept++] = piece;
      ++i;
    }
    lengths_[word] = kept;
  }

  void push(Candidate candidate) {
    agenda_.push_back(std::move(candidate));
    std::push_heap(agenda_.begin(), agenda_.end(), Later());
  }
  Candidate pop() {
    std::pop_heap(agenda_.begin(), agenda_.end(), Later());
    Candidate top = std::move(agenda_.back());
    agenda_.pop_back();
    return top;
  }

  ByteBpeVocabulary vocabulary_;
  std::unordered_map<std::string, int32_t> ids_;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<int32_t> symbols_;  // of all words
  std::vector<size_t> begins_;    // of each word
  std::vector<uint32_t> lengths_;
  std::vector<int64_t> counts_;
  PairTable pairs_;
  std::vector<uint32_t> touched_;  // pairs with words to queue
  std::vector<Candidate> agenda_;
};

}  // namespace

WordCounts::WordCounts() : slots_(1 << 12) {}

void WordCounts::add(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = gpt2_word_end(text, at);
    add_word(text.substr(at, end - at));
    at = end;
  }
}

void WordCounts::add_word(std::string_view word) {
  check_input(word.size() <= UINT32_MAX, "a word of {} bytes is too long to learn from",
              word.size());
  const uint64_t hash = hash_text(word, kHashKey);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & (slots_.size() - 1);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
    Entry& entry = entries_[slots_[at] - 1];
    if (entry.tag == tag && entry.length == word.size() &&
        std::string_view(bytes_).substr(entry.begin, entry.length) == word) {
      ++entry.count;
      return;
    }
  }
  entries_.push_back({bytes_.size(), static_cast<uint32_t>(word.size()), tag, 1});
  bytes_ += word;
  slots_[at] = static_cast<uint32_t>(entries_.size());
  if (2 * entries_.size() >= slots_.size()) grow();
}

void WordCounts::grow() {
  slots_.assign(4 * slots_.size(), 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = hash_text(word(i), kHashKey) & (slots_.size() - 1);
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

ByteBpeVocabulary train_byte_bpe(const WordCounts& words, const std::vector<std::string>& specials,
                                 size_t vocab_size) {
  return Trainer(words, specials).train(vocab_size);
}

}  // namespace llm
