// The two model types without a search: one piece per character, one piece per word.
#include "tokenizer/piece_index.h"
#include "tokenizer/segmenter.h"

namespace llm {
namespace {

PieceIndex index_texts(const Vocabulary& vocabulary) {
  PieceIndex index(vocabulary.size());
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    if (vocabulary.is_text(id) || vocabulary.is_frozen(id)) index.insert(vocabulary.text(id), id);
  }
  return index;
}

class CharacterSegmenter : public Segmenter {
 public:
  explicit CharacterSegmenter(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), index_(index_texts(vocabulary)) {}

  void segment(std::string_view text, std::vector<int32_t>& ids) const override {
    while (!text.empty()) {
      const std::string_view character = text.substr(0, character_bytes(text[0]));
      const int32_t id = index_.find(character);
      if (id >= 0)
        ids.push_back(id);
      else
        vocabulary_.append_unknown(character, ids);
      text.remove_prefix(character.size());
    }
  }

 private:
  const Vocabulary& vocabulary_;
  PieceIndex index_;
};

/// A word begins at every space and reaches to the next one; a tab or a newline stands alone.
class WordSegmenter : public Segmenter {
 public:
  explicit WordSegmenter(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), index_(index_texts(vocabulary)) {}

  void segment(std::string_view text, std::vector<int32_t>& ids) const override {
    while (!text.empty()) {
      const bool alone = text[0] == '\t' || text[0] == '\n';
      const std::string_view word = text.substr(0, alone ? 1 : text.find_first_of(" \t\n", 1));
      const int32_t id = index_.find(word);
      if (id >= 0)
        ids.push_back(id);
      else
        vocabulary_.append_unknown(word, ids);
      text.remove_prefix(word.size());
    }
  }

 private:
  const Vocabulary& vocabulary_;
  PieceIndex index_;
};

}  // namespace

std::unique_ptr<const Segmenter> make_character_segmenter(const Vocabulary& vocabulary) {
  return std::make_unique<CharacterSegmenter>(vocabulary);
}
std::unique_ptr<const Segmenter> make_word_segmenter(const Vocabulary& vocabulary) {
  return std::make_unique<WordSegmenter>(vocabulary);
}

}  // namespace llm
