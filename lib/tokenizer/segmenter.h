// How the pieces of a vocabulary cut a stretch of text: the algorithm of each SentencePiece model
// type.
//
// Here pieces are spelled with a real space instead of U+2581. The text given to segment() is valid
// UTF-8 and ends where no piece could cross (the tokenizer sees to both); it holds no frozen
// symbols. Results equal those of SentencePiece 0.1.97 on the same stretch. Const and thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_model.h"

namespace llm {

/// The pieces as the text spells them.
class Vocabulary {
 public:
  explicit Vocabulary(const SentencePieceModel& model);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return pieces_.size(); }
  std::string_view text(int32_t id) const {
    return pieces_[id].text;
  }  // with spaces; empty for control pieces
  float score(int32_t id) const { return pieces_[id].score; }
  PieceType type(int32_t id) const { return pieces_[id].type; }
  /// True for normal and unused pieces: those that segmenters put together.
  bool is_text(int32_t id) const { return uses_[id] == Use::text; }
  /// True for user-defined pieces that are taken out of a text as they stand.
  bool is_frozen(int32_t id) const { return uses_[id] == Use::frozen; }
  /// True for user-defined pieces that look like markup of a chat format ("<|im_end|>",
  /// "<start_of_turn>", "[INST]"): never made from text.
  bool is_marker(int32_t id) const { return uses_[id] == Use::marker; }
  int32_t unk_id() const { return unk_id_; }

  /// Ids for text that no piece covers: its bytes, or one <unk> for the whole of it (and of unknown
  /// text right before it).
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const;
  void append_byte(uint8_t byte, std::vector<int32_t>& ids) const {
    ids.push_back(byte_ids_[byte]);
  }
  bool has_bytes() const { return byte_fallback_; }

 private:
  enum class Use : uint8_t { none, text, frozen, marker };

  std::string spelled_;  // all texts
  std::vector<SentencePiece> pieces_;
  std::vector<Use> uses_;
  std::array<int32_t, 256> byte_ids_;
  bool byte_fallback_;
  int32_t unk_id_;
};

class Segmenter {
 public:
  virtual ~Segmenter() = default;
  virtual void segment(std::string_view text, std::vector<int32_t>& ids) const = 0;
};

/// `vocabulary` must outlive the segmenter.
std::unique_ptr<const Segmenter> make_bpe_segmenter(const Vocabulary& vocabulary,
                                                    std::string_view file_name);
std::unique_ptr<const Segmenter> make_unigram_segmenter(const Vocabulary& vocabulary);
std::unique_ptr<const Segmenter> make_character_segmenter(const Vocabulary& vocabulary);
std::unique_ptr<const Segmenter> make_word_segmenter(const Vocabulary& vocabulary);

/// Bytes of the character that starts with this byte, in valid UTF-8.
inline size_t character_bytes(char first) {
  const auto byte = static_cast<uint8_t>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace llm
