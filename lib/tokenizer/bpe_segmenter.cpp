// Byte-pair encoding as SentencePiece does it: characters are joined, always the pair whose joint
// piece has the highest score (of equal ones the leftmost), until no two neighbours form a piece.
// SentencePiece looks joint pieces up by their text; here every pair of symbols that forms a piece
// is in a table beforehand, so that a step costs one probe of two integers.
#include <algorithm>
#include <limits>
#include <queue>

#include "base/error.h"
#include "base/random.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/segmenter.h"

namespace llm {
namespace {

constexpr int32_t kNoSymbol = -1;  // a character that occurs in no piece
constexpr size_t kShortText = 64;
constexpr uint64_t kPreparationBytes = uint64_t{1} << 32;

class BpeSegmenter : public Segmenter {
 public:
  BpeSegmenter(const Vocabulary& vocabulary, std::string_view file_name);
  void segment(std::string_view text, std::vector<int32_t>& ids) const override;

 private:
  struct Split {  // how an unused piece came about
    int32_t piece, left, right;
  };
  struct Symbols {  // parallel arrays over the characters of a text
    int32_t* symbol;
    uint32_t* begin;
  };

  int32_t character_symbol(std::string_view character) const;
  size_t read_characters(std::string_view text, Symbols symbols) const;
  Merge look_up(int32_t left, int32_t right, std::vector<Split>* splits) const {
    const Merge merge = merges_.find(left, right);
    if (has_unused_ && merge.piece >= 0 && vocabulary_.type(merge.piece) == PieceType::unused)
      splits->push_back({merge.piece, left, right});
    return merge;
  }
  size_t merge_short(size_t count, Symbols symbols, std::vector<Split>* splits) const;
  size_t merge_long(size_t count, Symbols symbols, std::vector<Split>* splits) const;
  void append(int32_t symbol, std::string_view text, const std::vector<Split>& splits,
              std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  std::vector<int32_t> plane_symbols_;  // by code point below 0x10000
  PieceIndex far_symbols_;              // the other characters
  std::vector<std::string_view>
      extra_;  // characters that only occur inside pieces: symbol - vocabulary size
  MergeTable merges_;
  bool has_unused_ = false;
};

uint32_t code_point(std::string_view character) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<uint8_t>(character[i]));
  };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
             (byte(3) & 0x3F);
  }
}

/// Rank of every piece by falling score; equal scores share a rank.
std::vector<int32_t> rank_pieces(const Vocabulary& vocabulary) {
  std::vector<float> scores;
  for (size_t id = 0; id < vocabulary.size(); ++id)
    scores.push_back(vocabulary.score(static_cast<int32_t>(id)));
  std::vector<float> order = scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<int32_t> ranks;
  for (const float score : scores) {
    ranks.push_back(static_cast<int32_t>(
        std::lower_bound(order.begin(), order.end(), score, std::greater<>()) - order.begin()));
  }
  return ranks;
}

BpeSegmenter::BpeSegmenter(const Vocabulary& vocabulary, std::string_view file_name)
    : vocabulary_(vocabulary), plane_symbols_(0x10000, kNoSymbol) {
  std::vector<int32_t> pieces;
  std::vector<bool> length_exists;
  size_t far_characters = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    if (!vocabulary.is_text(id)) continue;
    pieces.push_back(id);
    const std::string_view text = vocabulary.text(id);
    has_unused_ |= vocabulary.type(id) == PieceType::unused;
    if (length_exists.size() <= text.size()) length_exists.resize(text.size() + 1);
    length_exists[text.size()] = true;
    far_characters += static_cast<size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) >= 0xF0; }));
  }

  PieceIndex index(pieces.size());
  far_symbols_ = PieceIndex(far_characters);
  const auto set_symbol = [&](std::string_view character, int32_t symbol) {
    if (character.size() == 4)
      far_symbols_.insert(character, symbol);
    else
      plane_symbols_[code_point(character)] = symbol;
  };
  for (const int32_t id : pieces) {
    const std::string_view text = vocabulary.text(id);
    index.insert(text, id);
    if (character_bytes(text[0]) == text.size()) set_symbol(text, id);
  }
  for (const int32_t id : pieces) {
    const std::string_view text = vocabulary.text(id);
    for (size_t at = 0; at < text.size(); at += character_bytes(text[at])) {
      const std::string_view character = text.substr(at, character_bytes(text[at]));
      if (character_symbol(character) != kNoSymbol) continue;
      set_symbol(character, static_cast<int32_t>(vocabulary.size() + extra_.size()));
      extra_.push_back(character);
    }
  }

  // Every way to put a piece together from two symbols.
  struct Pair {
    int32_t left, right, piece;
  };
  std::vector<Pair> pairs;
  uint64_t bytes_compared = 0;
  const auto symbol_of = [&](std::string_view text) {
    if (character_bytes(text[0]) == text.size()) return character_symbol(text);
    if (!length_exists[text.size()]) return kNoSymbol;
    bytes_compared += text.size();
    return index.find(text);
  };
  for (const int32_t id : pieces) {
    const std::string_view text = vocabulary.text(id);
    for (size_t cut = character_bytes(text[0]); cut < text.size();
         cut += character_bytes(text[cut])) {
      const int32_t left = symbol_of(text.substr(0, cut));
      const int32_t right = left == kNoSymbol ? kNoSymbol : symbol_of(text.substr(cut));
      if (right != kNoSymbol) pairs.push_back({left, right, id});
    }
    check_input(bytes_compared <= kPreparationBytes,
                "'{}': too many long pieces that are made of each other", file_name);
  }
  const std::vector<int32_t> ranks = rank_pieces(vocabulary);
  merges_.reserve(pairs.size());
  for (const Pair& pair : pairs)
    merges_.insert(pair.left, pair.right, {ranks[pair.piece], pair.piece});
}

int32_t BpeSegmenter::character_symbol(std::string_view character) const {
  if (character.size() == 4) return far_symbols_.find(character);
  return plane_symbols_[code_point(character)];
}

size_t BpeSegmenter::read_characters(std::string_view text, Symbols symbols) const {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const size_t bytes = character_bytes(text[at]);
    symbols.begin[count] = static_cast<uint32_t>(at);
    symbols.symbol[count] = character_symbol(text.substr(at, bytes));
    at += bytes;
  }
  return count;
}

void BpeSegmenter::segment(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<Split> splits;
  const auto finish = [&](size_t count, Symbols symbols) {
    for (size_t i = 0; i < count; ++i) {
      const size_t end = i + 1 < count ? symbols.begin[i + 1] : text.size();
      append(symbols.symbol[i], text.substr(symbols.begin[i], end - symbols.begin[i]), splits, ids);
    }
  };
  if (text.size() <= kShortText) {
    int32_t symbol[kShortText];
    uint32_t begin[kShortText];
    const Symbols symbols{symbol, begin};
    finish(merge_short(read_characters(text, symbols), symbols, &splits), symbols);
    return;
  }
  check(text.size() <= std::numeric_limits<int32_t>::max(),
        "tokenizer: {} bytes without a place to cut; 2147483647 are the most", text.size());
  std::vector<int32_t> symbol(text.size());
  std::vector<uint32_t> begin(text.size());
  const Symbols symbols{symbol.data(), begin.data()};
  finish(merge_long(read_characters(text, symbols), symbols, &splits), symbols);
}

size_t BpeSegmenter::merge_short(size_t count, Symbols symbols, std::vector<Split>* splits) const {
  Merge merge[kShortText];  // of symbol i with symbol i + 1
  for (size_t i = 0; i + 1 < count; ++i)
    merge[i] = look_up(symbols.symbol[i], symbols.symbol[i + 1], splits);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merge[i].rank < merge[best].rank) best = i;
    }
    if (merge[best].rank == kNeverMerged) break;
    symbols.symbol[best] = merge[best].piece;
    --count;
    std::copy(symbols.symbol + best + 2, symbols.symbol + count + 1, symbols.symbol + best + 1);
    std::copy(symbols.begin + best + 2, symbols.begin + count + 1, symbols.begin + best + 1);
    if (best + 1 < count) std::copy(merge + best + 2, merge + count, merge + best + 1);
    if (best > 0) merge[best - 1] = look_up(symbols.symbol[best - 1], symbols.symbol[best], splits);
    if (best + 1 < count)
      merge[best] = look_up(symbols.symbol[best], symbols.symbol[best + 1], splits);
  }
  return count;
}

size_t BpeSegmenter::merge_long(size_t count, Symbols symbols, std::vector<Split>* splits) const {
  struct Candidate {
    int32_t rank, left_at, right_at, left, right, piece;
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left_at > other.left_at;
    }
  };
  constexpr int32_t kGone = -2;
  const auto total = static_cast<int32_t>(count);
  std::vector<int32_t> previous(count), next(count);
  std::priority_queue<Candidate> agenda;
  const auto consider = [&](int32_t left_at, int32_t right_at) {
    if (left_at < 0 || right_at >= total) return;
    const Merge merge = look_up(symbols.symbol[left_at], symbols.symbol[right_at], splits);
    if (merge.piece >= 0)
      agenda.push({merge.rank, left_at, right_at, symbols.symbol[left_at], symbols.symbol[right_at],
                   merge.piece});
  };
  for (int32_t i = 0; i < total; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
    consider(i - 1, i);
  }
  while (!agenda.empty()) {
    const Candidate top = agenda.top();
    agenda.pop();
    if (symbols.symbol[top.left_at] != top.left || symbols.symbol[top.right_at] != top.right)
      continue;  // one of them was joined meanwhile
    symbols.symbol[top.left_at] = top.piece;
    symbols.symbol[top.right_at] = kGone;
    next[top.left_at] = next[top.right_at];
    if (next[top.left_at] < total) previous[next[top.left_at]] = top.left_at;
    consider(previous[top.left_at], top.left_at);
    consider(top.left_at, next[top.left_at]);
  }
  size_t kept = 0;
  for (int32_t i = 0; i < total; i = next[i], ++kept) {
    symbols.symbol[kept] = symbols.symbol[i];
    symbols.begin[kept] = symbols.begin[i];
  }
  return kept;
}

void BpeSegmenter::append(int32_t symbol, std::string_view text, const std::vector<Split>& splits,
                          std::vector<int32_t>& ids) const {
  if (symbol < 0 || symbol >= static_cast<int32_t>(vocabulary_.size()))
    return vocabulary_.append_unknown(text, ids);
  if (has_unused_ && vocabulary_.type(symbol) == PieceType::unused) {
    const auto split = std::find_if(splits.rbegin(), splits.rend(),
                                    [&](const Split& s) { return s.piece == symbol; });
    if (split != splits.rend()) {
      const auto symbol_text = [&](int32_t s) {
        const size_t own = vocabulary_.size();
        return static_cast<size_t>(s) < own ? vocabulary_.text(s)
                                            : extra_[static_cast<size_t>(s) - own];
      };
      append(split->left, symbol_text(split->left), splits, ids);
      append(split->right, symbol_text(split->right), splits, ids);
      return;
    }
  }
  ids.push_back(symbol);
}

}  // namespace

std::unique_ptr<const Segmenter> make_bpe_segmenter(const Vocabulary& vocabulary,
                                                    std::string_view file_name) {
  return std::make_unique<BpeSegmenter>(vocabulary, file_name);
}

}  // namespace llm
