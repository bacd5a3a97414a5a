// A Tokenizer for SentencePiece .model files: BPE, unigram, word and character models, from `llm
// train-tokenizer` or from elsewhere.
//
// Segmentation is this program's own and equals SentencePiece 0.1.97
// (tests/tokenizer/parity_test.cpp), with four differences, all on purpose:
//   - bytes that are not UTF-8 and a literal U+2581 go through the byte pieces and come back
//   exactly, where the library gives U+FFFD and a space;
//   - user-defined pieces that look like markup ("<|im_end|>", "[INST]") are not made from text;
//   - a newline or a tab separates the words of a word model;
//   - a unigram model judges every word alone, where the library's choice between equally good cuts
//   depends on the rounding of the text before.
//
// Speed: a text is cut where no piece of the vocabulary can cross, which is found out when the
// model is loaded: before a run of spaces, around a newline. Most stretches are then whole pieces,
// found by one table look-up; the others are segmented. Cutting changes no result, and long texts
// cost time and memory in proportion to their length.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/piece_index.h"
#include "tokenizer/segmenter.h"
#include "tokenizer/text_normalizer.h"
#include "tokenizer/tokenizer.h"

namespace llm {

class SentencePieceTokenizer : public Tokenizer {
 public:
  /// `file` is the content of the .model file; throws Error(Exit::bad_input) with `name` in the
  /// message.
  /// `companions` are the files beside it; tokenizer_config.json says whether bos and eos are put
  /// around a text.
  SentencePieceTokenizer(std::string file, std::string_view name,
                         std::vector<TokenizerFile> companions = {});

  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> encode_with_special(std::string_view text) const override;
  std::vector<int32_t> with_template(std::vector<int32_t> ids) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string_view token_bytes(int32_t id) const override;
  std::string_view token_text(int32_t id) const override;
  std::optional<int32_t> find_token(std::string_view text) const override;
  bool is_special(int32_t id) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(vocabulary_.size()); }
  int32_t pad_id() const override { return pad_id_; }
  int32_t bos_id() const override { return bos_id_; }
  int32_t eos_id() const override { return eos_id_; }
  int32_t unk_id() const override { return model_.unk_id; }
  int32_t mask_id() const override { return mask_id_; }
  const std::string& sha256() const override { return sha256_; }
  std::string_view file_bytes() const override { return file_; }
  std::string_view file_name() const override { return "tokenizer.model"; }
  std::vector<TokenizerFile> files() const override;

  const SentencePieceModel& model() const { return model_; }
  bool adds_bos() const { return adds_bos_; }
  bool adds_eos() const { return adds_eos_; }

 private:
  int32_t special_id(std::string_view piece) const;
  void check_id(int32_t id) const;
  void read_template();
  void find_special_texts();
  void find_cuts();
  void index_whole_pieces();
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_stretch(std::string_view text, std::vector<int32_t>& ids) const;

  std::string file_;  // everything below may point into it
  std::vector<TokenizerFile> companions_;
  std::string sha256_;
  SentencePieceModel model_;
  Vocabulary vocabulary_;
  TextNormalizer normalizer_;
  PieceIndex names_;  // token_text -> id
  std::unique_ptr<const Segmenter> segmenter_;
  int32_t pad_id_ = -1, bos_id_ = -1, eos_id_ = -1, mask_id_ = -1;

  bool cut_before_spaces_ = false;  // no piece goes on with a space after something else
  bool cut_at_newline_ = false;     // no piece joins a newline with anything
  ByteTrie frozen_;  // user-defined pieces, taken out of the text before it is segmented
  std::array<bool, 256> may_freeze_{};
  PieceIndex whole_;        // pieces that are segmented into themselves
  ByteTrie special_texts_;  // control pieces and markup, for encode_with_special()
  bool adds_bos_ = false, adds_eos_ = false;
};

}  // namespace llm
