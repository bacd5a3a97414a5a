// The model Unigram of tokenizer.json: of all ways to cut a text into pieces the one with the
// highest sum of scores.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/word_model.h"

namespace llm {
namespace {

constexpr double kUnknownPenalty = 10;

class UnigramModel : public WordModel {
 public:
  UnigramModel(const std::vector<std::string>& pieces, const std::vector<double>& scores,
               const UnigramRules& rules)
      : rules_(rules), scores_(scores), byte_ids_(find_byte_pieces(pieces)) {
    std::vector<ByteTrie::Entry> entries;
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t id = 0; id < pieces.size(); ++id) {
      lowest = std::min(lowest, scores[id]);
      if (!pieces[id].empty()) entries.emplace_back(pieces[id], static_cast<int32_t>(id));
    }
    unknown_score_ = (scores.empty() ? 0 : lowest) - kUnknownPenalty;
    trie_ = ByteTrie(std::move(entries));
    has_all_bytes_ = rules_.byte_fallback && std::all_of(byte_ids_.begin(), byte_ids_.end(),
                                                         [](int32_t id) { return id >= 0; });
  }

  void append(std::string_view piece, std::vector<int32_t>& ids) const override {
    std::vector<Best> best(piece.size() + 1);
    for (size_t at = 0; at < piece.size();) {
      const size_t character =
          rules_.byte_level ? 1
                            : std::max<size_t>(utf8::first_character(piece.substr(at)).length, 1);
      extend(piece, at, character, best);
      at += character;
    }
    give(piece, best, ids);
  }

 private:
  struct Best {
    double score = 0;
    size_t begin = SIZE_MAX;
    int32_t id = -1;
  };

  void offer(Best& target, double score, size_t begin, int32_t id) const {
    if (target.begin == SIZE_MAX || score > target.score) target = {score, begin, id};
  }

  void extend(std::string_view text, size_t at, size_t character, std::vector<Best>& best) const {
    const double so_far = best[at].score;
    bool has_character = false;
    int32_t node = ByteTrie::kRoot;
    for (size_t end = at; end < text.size();) {
      node = trie_.step(node, static_cast<uint8_t>(text[end]));
      if (node < 0) break;
      ++end;
      const int32_t id = trie_.value(node);
      if (id < 0) continue;
      offer(best[end], so_far + scores_[static_cast<size_t>(id)], at, id);
      has_character |= end - at == character;
    }
    if (!has_character) offer(best[at + character], so_far + unknown_score_, at, rules_.unk_id);
  }

  void give(std::string_view text, const std::vector<Best>& best, std::vector<int32_t>& ids) const {
    std::vector<size_t> ends;
    for (size_t end = text.size(); end > 0; end = best[end].begin) ends.push_back(end);
    for (size_t i = ends.size(); i-- > 0;) {
      const Best& node = best[ends[i]];
      if (node.id != rules_.unk_id) {
        ids.push_back(node.id);
        continue;
      }
      size_t end = ends[i];
      while (i > 0 && best[ends[i - 1]].id == rules_.unk_id) end = ends[--i];
      append_unknown(text.substr(node.begin, end - node.begin), ids);
    }
  }

  /// A run of unknown characters: its bytes if there is a piece for each, else one <unk>.
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
    const bool as_bytes = rules_.byte_fallback &&
                          (has_all_bytes_ || std::all_of(text.begin(), text.end(), [&](char byte) {
                             return byte_ids_[static_cast<uint8_t>(byte)] >= 0;
                           }));
    if (as_bytes) {
      for (const char byte : text) ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
      return;
    }
    check_input(
        rules_.unk_id >= 0,
        "the text holds characters that the tokenizer has no piece for, and it has no <unk>");
    ids.push_back(rules_.unk_id);
  }

  UnigramRules rules_;
  std::vector<double> scores_;
  std::array<int32_t, 256> byte_ids_;
  ByteTrie trie_;
  double unknown_score_ = 0;
  bool has_all_bytes_ = false;
};

}  // namespace

std::unique_ptr<const WordModel> make_unigram_model(const std::vector<std::string>& pieces,
                                                    const std::vector<double>& scores,
                                                    const UnigramRules& rules) {
  return std::make_unique<UnigramModel>(pieces, scores, rules);
}

}  // namespace llm
