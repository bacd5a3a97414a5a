// How a vocabulary of tokenizer.json turns one piece of text into ids: its models BPE and Unigram.
//
// Results equal those of Hugging Face's tokenizers on the same piece, with one difference on
// purpose: bytes that are not UTF-8, which never reach that library, go through the byte tokens
// where there are any. Const and thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"

namespace llm {

class WordModel {
 public:
  virtual ~WordModel() = default;
  /// Appends the ids of one non-empty piece.
  virtual void append(std::string_view piece, std::vector<int32_t>& ids) const = 0;
};

struct PieceMerge {
  int32_t left = -1, right = -1, piece = -1;  // ids; its place in the list is its rank
};

struct BpeRules {
  bool byte_level = false;     // pieces are bytes, spelled in the printable alphabet of GPT-2
  bool byte_fallback = false;  // a character that is no piece becomes its bytes' <0xNN>
  bool fuse_unk = false;
  bool ignore_merges = false;  // a piece of text that is a piece is that piece
  std::string continuing_prefix, word_suffix;
  int32_t unk_id = -1;
};

/// `pieces` (index = id; an empty one is never made from text) are spelled as text, byte-level ones
/// as bytes. Copies what it needs.
std::unique_ptr<const WordModel> make_bpe_model(const std::vector<std::string>& pieces,
                                                const std::vector<PieceMerge>& merges,
                                                const BpeRules& rules);

struct UnigramRules {
  bool byte_level = false;
  bool byte_fallback = false;
  int32_t unk_id = -1;
};
std::unique_ptr<const WordModel> make_unigram_model(const std::vector<std::string>& pieces,
                                                    const std::vector<double>& scores,
                                                    const UnigramRules& rules);

/// Ids of <0x00> .. <0xFF>, -1 where there is none.
std::array<int32_t, 256> find_byte_pieces(const std::vector<std::string>& pieces);

/// The printable alphabet in which byte-level vocabularies spell bytes ("Ġ" is a space).
std::string to_byte_alphabet(std::string_view bytes);
/// Back; false if a character is not of the alphabet (then `bytes` is unspecified).
bool from_byte_alphabet(std::string_view text, std::string& bytes);

}  // namespace llm
