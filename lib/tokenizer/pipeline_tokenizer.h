// A Tokenizer put together from stages: added tokens, normaliser, pre-tokenizer, model, template,
// decoder. It reads tokenizer.json and the tiktoken form of tokenizer.model.
//
// Ids equal those of Hugging Face's tokenizers: encode_with_special() its
// encode(add_special_tokens=False), with_template() what True adds. encode() differs on purpose:
// special tokens, and tokens that look like chat markup, stay the text they are written as.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text_rewriter.h"
#include "tokenizer/token_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/word_model.h"

namespace llm {

enum class ModelKind : uint8_t { bpe, unigram };

/// Everything a file says, ready to be put together.
struct PipelineStages {
  ModelKind kind = ModelKind::bpe;
  std::vector<std::string> pieces;  // index = id, as the file spells them; added tokens too
  std::vector<PieceMerge> merges;   // bpe
  std::vector<double> scores;       // unigram
  BpeRules bpe;
  UnigramRules unigram;
  bool byte_level = false;

  std::vector<AddedToken> added;
  TextRewriterPtr rewriter;                           // null = none
  std::unique_ptr<const PreTokenizer> pre_tokenizer;  // null = none
  TokenDecoder decoder;
  std::vector<int32_t> before, after;  // what the template puts around a text

  // What parts can say about the stages (tokenizer_parts.h).
  std::vector<std::string> word_patterns;  // the pre-tokenizer as isolated patterns
  bool words_are_patterns = false;         // ... which is all of it
  bool keeps_text = true;                  // no normaliser but NFC, which GGUF has no word for
  bool puts_space_before = false;          // SentencePiece's dummy prefix
  bool is_sentencepiece_style = false;     // nothing but that, spaces as U+2581

  int32_t bos_id = -1, eos_id = -1, pad_id = -1, unk_id = -1, mask_id = -1;
};

class PipelineTokenizer : public Tokenizer {
 public:
  /// `files`: the tokenizer's own file first, then those beside it.
  PipelineTokenizer(PipelineStages stages, std::vector<TokenizerFile> files);

  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> encode_with_special(std::string_view text) const override;
  std::vector<int32_t> with_template(std::vector<int32_t> ids) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string_view token_bytes(int32_t id) const override;
  std::string_view token_text(int32_t id) const override;
  std::optional<int32_t> find_token(std::string_view text) const override;
  bool is_special(int32_t id) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(stages_.pieces.size()); }
  int32_t pad_id() const override { return stages_.pad_id; }
  int32_t bos_id() const override { return stages_.bos_id; }
  int32_t eos_id() const override { return stages_.eos_id; }
  int32_t unk_id() const override { return stages_.unk_id; }
  int32_t mask_id() const override { return stages_.mask_id; }
  const std::string& sha256() const override { return sha256_; }
  std::string_view file_bytes() const override { return files_[0].bytes; }
  std::string_view file_name() const override { return files_[0].name; }
  std::vector<TokenizerFile> files() const override { return files_; }

  const PipelineStages& stages() const { return stages_; }

 private:
  /// The added tokens that one way of encoding takes out of the text.
  struct Finders {
    AddedTokenFinder raw, normalized;
  };
  Finders make_finders(bool all) const;
  void make_model();
  void decode_pieces();
  void check_id(int32_t id) const;
  std::vector<int32_t> encode_with(std::string_view text, const Finders& finders) const;
  void encode_rewritten(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;

  PipelineStages stages_;
  std::vector<TokenizerFile> files_;
  std::string sha256_;
  std::vector<bool> special_;
  std::unique_ptr<const WordModel> model_;
  Finders text_finders_, all_finders_;
  std::string decoded_;  // bytes of all pieces
  std::vector<size_t> decoded_begin_;
  std::unordered_map<std::string_view, int32_t> ids_;  // by the pieces' spelling
};

}  // namespace llm
