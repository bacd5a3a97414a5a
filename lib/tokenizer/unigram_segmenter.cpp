// The cut with the highest sum of piece scores (Viterbi), as SentencePiece computes it: in single
// precision, of equal cuts the one found first.
#include <algorithm>
#include <cfloat>

#include "tokenizer/byte_trie.h"
#include "tokenizer/segmenter.h"

namespace llm {
namespace {

constexpr float kUnknownPiecePenalty = 10.0f;

class UnigramSegmenter : public Segmenter {
 public:
  explicit UnigramSegmenter(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    std::vector<ByteTrie::Entry> entries;
    float lowest = FLT_MAX;
    highest_ = FLT_MIN;  // as SentencePiece has it: a small positive number
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
      const PieceType type = vocabulary.type(id);
      if (type == PieceType::normal) {
        lowest = std::min(lowest, vocabulary.score(id));
        highest_ = std::max(highest_, vocabulary.score(id));
      }
      if ((type == PieceType::normal && vocabulary.is_text(id)) || vocabulary.is_frozen(id))
        entries.emplace_back(vocabulary.text(id), id);
    }
    unknown_score_ = lowest - kUnknownPiecePenalty;
    trie_ = ByteTrie(std::move(entries));
  }

  void segment(std::string_view text, std::vector<int32_t>& ids) const override {
    struct Best {  // the best way to reach a byte
      int32_t id = -1;
      float score = 0;
      size_t begin = 0;
      bool reached = false;
    };
    std::vector<Best> best(text.size() + 1);
    const auto offer = [&](size_t begin, size_t end, double score, int32_t id) {
      const double total = score + best[begin].score;
      if (!best[end].reached || total > best[end].score)
        best[end] = {id, static_cast<float>(total), begin, true};
    };
    for (size_t begin = 0; begin < text.size();) {
      const size_t character = character_bytes(text[begin]);
      bool character_known = false;
      int32_t node = ByteTrie::kRoot;
      for (size_t end = begin; end < text.size();) {
        node = trie_.step(node, static_cast<uint8_t>(text[end++]));
        if (node < 0) break;
        const int32_t id = trie_.value(node);
        if (id < 0) continue;
        const bool frozen = vocabulary_.type(id) == PieceType::user_defined;
        const auto bytes = static_cast<float>(end - begin);
        offer(begin, end,
              frozen ? static_cast<double>(bytes * highest_) - 0.1
                     : static_cast<double>(vocabulary_.score(id)),
              id);
        character_known |= end - begin == character;
      }
      if (!character_known) offer(begin, begin + character, unknown_score_, vocabulary_.unk_id());
      begin += character;
    }

    std::vector<size_t> ends;
    for (size_t end = text.size(); end > 0; end = best[end].begin) ends.push_back(end);
    std::reverse(ends.begin(), ends.end());
    for (const size_t end : ends) {
      const Best& node = best[end];
      if (node.id == vocabulary_.unk_id())
        vocabulary_.append_unknown(text.substr(node.begin, end - node.begin), ids);
      else
        ids.push_back(node.id);
    }
  }

 private:
  const Vocabulary& vocabulary_;
  ByteTrie trie_;
  float highest_ = 0, unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<const Segmenter> make_unigram_segmenter(const Vocabulary& vocabulary) {
  return std::make_unique<UnigramSegmenter>(vocabulary);
}

}  // namespace llm
