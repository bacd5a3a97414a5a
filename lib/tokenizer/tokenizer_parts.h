// A tokenizer taken apart, and put together from parts: for containers that embed one (GGUF) and
// for writing it in another format.
//
// make_tokenizer() writes the parts as a file of their own kind (SentencePiece .model, or
// tokenizer.json for byte_bpe) and loads that, so all checks of a file hold for parts too and the
// result can be saved beside a model. Pieces are spelled as their file spells them: U+2581 for a
// space in SentencePiece kinds, the printable byte alphabet of GPT-2 ("Ġthe") in byte_bpe. No
// state; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/sentencepiece_model.h"  // PieceType
#include "tokenizer/tokenizer.h"

namespace llm {

enum class TokenizerKind : uint8_t {
  byte_bpe,  // GGUF "gpt2": bytes, merged by a list of merges
  bpe,       // GGUF "llama": SentencePiece BPE, the joint piece with the highest score first
  unigram,   // GGUF "t5"
};

struct TokenizerPiece {
  std::string text;
  float score = 0;  // bpe and unigram only
  // byte_bpe: normal; control = special added token; user_defined = added token that is not
  // special; unused = a hole in the ids, never made from text.
  PieceType type = PieceType::normal;
};

struct TokenizerParts {
  TokenizerKind kind = TokenizerKind::byte_bpe;
  std::vector<TokenizerPiece> pieces;                       // index = id
  std::vector<std::pair<std::string, std::string>> merges;  // byte_bpe only, first = applied first
  // byte_bpe only: how text is cut into words before merging, by the names that GGUF uses
  // (known_pre_tokenizers()). Empty from tokenizer_parts() = it has no such name.
  std::string pre = "gpt-2";
  bool ignore_merges = false;  // byte_bpe: a word that is a piece is that piece (Llama 3)

  bool add_space_prefix = false;          // a space is put before the text
  bool remove_extra_whitespaces = false;  // SentencePiece kinds
  std::string charsmap;                   // SentencePiece kinds: compiled normalisation rules

  int32_t bos_id = -1, eos_id = -1, unk_id = -1, pad_id = -1, mask_id = -1;
  bool add_bos = false, add_eos = false;  // what the template puts around a text
};

/// Throws Error(Exit::bad_input) with `name` in the message: an unknown pre-tokenizer (listing the
/// known ones), merges of pieces that are not there, duplicate pieces, no end-of-text token, ...
std::unique_ptr<const Tokenizer> make_tokenizer(const TokenizerParts& parts, std::string_view name);

/// The parts of a loaded tokenizer. A tokenizer.json in SentencePiece style (byte fallback) gives
/// kind bpe or unigram. Throws Error(Exit::bad_input) naming the feature when parts cannot say what
/// this tokenizer does (a normaliser other than SentencePiece's, for instance).
TokenizerParts tokenizer_parts(const Tokenizer& tokenizer);

/// The bytes of a SentencePiece model file of these parts (kind bpe or unigram).
std::string write_sentencepiece_model(const TokenizerParts& parts);

/// The text of a tokenizer.json of these parts (any kind), as Hugging Face's tokenizers reads it.
std::string write_tokenizer_json(const TokenizerParts& parts);

/// tokenizer_config.json and special_tokens_map.json that name the special tokens of `parts`.
/// chat_template may be empty.
std::string write_tokenizer_config(const TokenizerParts& parts, std::string_view chat_template);
std::string write_special_tokens_map(const TokenizerParts& parts);

/// Names of pre-tokenizers of byte_bpe: "gpt-2", "llama-bpe", "qwen2", "default", ...
std::vector<std::string_view> known_pre_tokenizers();

}  // namespace llm
