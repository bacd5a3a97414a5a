// The model BPE of tokenizer.json.
//
// A piece of text that merges into one known piece is found by one look-up; that holds for most
// words. Others are cut into symbols and merged, and short ones are remembered per thread, so that
// a word that comes again costs a look-up too.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/utf8.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/word_model.h"

namespace llm {
namespace {

constexpr size_t kLongestIndexed = 256;  // bytes of a piece that is looked up whole
constexpr size_t kStackSymbols = 128;
constexpr std::string_view kBpeSpaceMark = "\xE2\x96\x81";

/// Ids of words met before, per thread; a word falls out when another takes its place.
class WordCache {
 public:
  static constexpr size_t kWordBytes = 23, kIds = 8;

  struct Entry {
    uint64_t owner = 0;
    uint8_t length = 0, count = 0;
    char word[kWordBytes - 1];
    int32_t ids[kIds];
  };

  Entry& place(std::string_view word, uint64_t owner) {
    if (entries_.empty()) entries_.resize(kEntries);
    return entries_[hash_text(word, owner) & (kEntries - 1)];
  }

 private:
  static constexpr size_t kEntries = 1 << 14;
  std::vector<Entry> entries_;
};

class BpeModel : public WordModel {
 public:
  BpeModel(const std::vector<std::string>& pieces, const std::vector<PieceMerge>& merges,
           const BpeRules& rules);

  void append(std::string_view piece, std::vector<int32_t>& ids) const override {
    if (!cuts_before_marks_ || piece.size() <= kBpeSpaceMark.size())
      return append_stretch(piece, ids);
    // No piece goes on with a space mark after something else: the text can be cut there.
    size_t begin = 0;
    for (size_t at = 1; (at = piece.find(kBpeSpaceMark, at)) != std::string_view::npos;
         at += kBpeSpaceMark.size()) {
      if (at >= kBpeSpaceMark.size() &&
          piece.substr(at - kBpeSpaceMark.size(), kBpeSpaceMark.size()) == kBpeSpaceMark)
        continue;
      append_stretch(piece.substr(begin, at - begin), ids);
      begin = at;
    }
    append_stretch(piece.substr(begin), ids);
  }

 private:
  void append_stretch(std::string_view text, std::vector<int32_t>& ids) const;
  void merge(std::string_view text, std::vector<int32_t>& ids) const;
  size_t read_bytes(std::string_view text, int32_t* symbols) const;
  void read_characters(std::string_view text, std::vector<int32_t>& symbols) const;
  int32_t character_id(std::string_view character, bool first, bool last) const;
  void index_whole(const std::vector<std::string>& pieces);

  BpeRules rules_;
  std::string spelled_;  // all pieces
  PieceIndex names_;     // every piece
  PieceIndex whole_;     // pieces that merge into themselves
  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_;  // byte-level: of each byte; else of <0xNN>
  bool has_all_bytes_ = false;
  bool cuts_before_marks_ = false;
  uint64_t serial_;
};

uint64_t next_serial() {
  static std::atomic<uint64_t> serial{0};
  return ++serial;
}

/// True if no piece has a space mark after something else.
bool marks_only_begin(const std::vector<std::string>& pieces,
                      const std::vector<PieceMerge>& merges) {
  return std::all_of(merges.begin(), merges.end(), [&](const PieceMerge& merge) {
    const std::string_view text = pieces[static_cast<size_t>(merge.piece)];
    size_t marks = 0;
    while (text.substr(marks).starts_with(kBpeSpaceMark)) marks += kBpeSpaceMark.size();
    return text.find(kBpeSpaceMark, marks) == std::string_view::npos;
  });
}

BpeModel::BpeModel(const std::vector<std::string>& pieces, const std::vector<PieceMerge>& merges,
                   const BpeRules& rules)
    : rules_(rules), names_(pieces.size()), serial_(next_serial()) {
  size_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  spelled_.reserve(bytes);  // views into it stay
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].empty()) continue;
    const size_t begin = spelled_.size();
    spelled_ += pieces[id];
    names_.insert(std::string_view(spelled_).substr(begin), static_cast<int32_t>(id));
  }
  merges_.reserve(merges.size());
  // Of a pair that is listed twice the last one counts.
  for (size_t i = merges.size(); i-- > 0;)
    merges_.insert(merges[i].left, merges[i].right, {static_cast<int32_t>(i), merges[i].piece});
  if (rules_.byte_level) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const char text = static_cast<char>(byte);
      byte_ids_[byte] = names_.find({&text, 1});
    }
  } else {
    byte_ids_ = find_byte_pieces(pieces);
  }
  has_all_bytes_ =
      std::all_of(byte_ids_.begin(), byte_ids_.end(), [](int32_t id) { return id >= 0; });
  const bool plain = rules_.continuing_prefix.empty() && rules_.word_suffix.empty();
  cuts_before_marks_ = !rules_.byte_level && !rules_.ignore_merges && plain &&
                       names_.find(kBpeSpaceMark) >= 0 && marks_only_begin(pieces, merges);
  index_whole(pieces);
}

void BpeModel::index_whole(const std::vector<std::string>& pieces) {
  whole_ = PieceIndex(pieces.size());
  std::vector<int32_t> ids;
  size_t begin = 0;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view text = std::string_view(spelled_).substr(begin, pieces[id].size());
    begin += text.size();
    if (text.empty() || text.size() > kLongestIndexed) continue;
    if (!rules_.ignore_merges) {
      ids.clear();
      merge(text, ids);
      if (ids.size() != 1 || ids[0] != static_cast<int32_t>(id)) continue;
    }
    whole_.insert(text, static_cast<int32_t>(id));
  }
}

void BpeModel::append_stretch(std::string_view text, std::vector<int32_t>& ids) const {
  if (const int32_t id = whole_.find(text); id >= 0) {
    ids.push_back(id);
    return;
  }
  if (rules_.ignore_merges && text.size() > kLongestIndexed) {
    if (const int32_t id = names_.find(text); id >= 0) {
      ids.push_back(id);
      return;
    }
  }
  if (text.size() >= WordCache::kWordBytes) return merge(text, ids);
  thread_local WordCache cache;
  WordCache::Entry& entry = cache.place(text, serial_);
  if (entry.owner == serial_ && entry.length == text.size() &&
      std::memcmp(entry.word, text.data(), text.size()) == 0) {
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return;
  }
  const size_t before = ids.size();
  merge(text, ids);
  const size_t count = ids.size() - before;
  if (count > WordCache::kIds) return;
  entry.owner = serial_;
  entry.length = static_cast<uint8_t>(text.size());
  entry.count = static_cast<uint8_t>(count);
  std::memcpy(entry.word, text.data(), text.size());
  std::copy(ids.begin() + static_cast<ptrdiff_t>(before), ids.end(), entry.ids);
}

size_t BpeModel::read_bytes(std::string_view text, int32_t* symbols) const {
  for (size_t i = 0; i < text.size(); ++i) symbols[i] = byte_ids_[static_cast<uint8_t>(text[i])];
  return text.size();
}

int32_t BpeModel::character_id(std::string_view character, bool first, bool last) const {
  const bool plain =
      (first || rules_.continuing_prefix.empty()) && (!last || rules_.word_suffix.empty());
  if (plain) return names_.find(character);
  std::string spelled = first ? "" : rules_.continuing_prefix;
  spelled += character;
  if (last) spelled += rules_.word_suffix;
  return names_.find(spelled);
}

/// Characters that are no piece: their bytes, <unk> (one for a run of them if fused), or nothing.
void BpeModel::read_characters(std::string_view text, std::vector<int32_t>& symbols) const {
  bool holds_unk = false;
  const auto give_unk = [&] {
    if (holds_unk) symbols.push_back(rules_.unk_id);
    holds_unk = false;
  };
  for (size_t at = 0; at < text.size();) {
    const utf8::Character c = utf8::first_character(text.substr(at));
    const size_t length =
        rules_.byte_level ? 1 : std::max<size_t>(c.length, 1);  // each byte is a character
    const std::string_view character = text.substr(at, length);
    const int32_t id = character_id(character, at == 0, at + length == text.size());
    at += length;
    if (id >= 0) {
      give_unk();
      symbols.push_back(id);
      continue;
    }
    const bool has_bytes =
        rules_.byte_fallback && std::all_of(character.begin(), character.end(), [&](char byte) {
          return byte_ids_[static_cast<uint8_t>(byte)] >= 0;
        });
    if (has_bytes) {
      for (const char byte : character) symbols.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    } else if (rules_.unk_id >= 0) {
      if (!rules_.fuse_unk) give_unk();
      holds_unk = true;
    }
  }
  give_unk();
}

void BpeModel::merge(std::string_view text, std::vector<int32_t>& ids) const {
  if (rules_.byte_level && has_all_bytes_ && text.size() <= kStackSymbols) {
    int32_t symbols[kStackSymbols];
    const size_t count = merges_.merge_all(symbols, read_bytes(text, symbols));
    ids.insert(ids.end(), symbols, symbols + count);
    return;
  }
  std::vector<int32_t> symbols;
  if (rules_.byte_level && has_all_bytes_) {
    symbols.resize(text.size());
    read_bytes(text, symbols.data());
  } else {
    symbols.reserve(text.size());
    read_characters(text, symbols);
  }
  const size_t count = merges_.merge_all(symbols.data(), symbols.size());
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace

std::unique_ptr<const WordModel> make_bpe_model(const std::vector<std::string>& pieces,
                                                const std::vector<PieceMerge>& merges,
                                                const BpeRules& rules) {
  return std::make_unique<BpeModel>(pieces, merges, rules);
}

}  // namespace llm
