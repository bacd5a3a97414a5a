// A rendered chat as token ids.
//
// What the template wrote may become special tokens; what the user gave never does. A chat in which
// no user text spells a control token is encoded in one piece, so the ids are those of Hugging
// Face's tokenizers. Otherwise the forged spelling is cut out and encoded by itself as plain text
// (as transformers does it when it sanitises control tokens). Const and thread-safe; the tokenizer
// must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llm {

/// Ids, and for each whether a model is to learn it (1) or only sees it (0).
struct MarkedIds {
  std::vector<int32_t> ids;
  std::vector<uint8_t> learnt;
};

class ChatEncoder {
 public:
  explicit ChatEncoder(const Tokenizer& tokenizer);

  std::vector<int32_t> encode(const RenderedChat& chat) const;
  /// The same for training. The spans of `learnt` (in order, apart from each other) are encoded by
  /// themselves, as a reply is that comes behind a prompt already encoded: no id stands on both
  /// sides of an edge. An edge inside a control token or a character moves to its beginning.
  MarkedIds encode_marked(const RenderedChat& chat, std::span<const TextSpan> learnt) const;

 private:
  struct Spellings {
    std::vector<TextSpan> own;     // control tokens that the template spelled
    std::vector<TextSpan> forged;  // and those that are spelled with bytes of the user's
  };
  Spellings control_spellings(const RenderedChat& chat) const;
  void append(const RenderedChat& chat, const std::vector<TextSpan>& forged, TextSpan part,
              std::vector<int32_t>& ids) const;
  std::vector<int32_t> piece(std::string_view text, bool first, bool special) const;

  const Tokenizer& tokenizer_;
  ByteTrie control_;                  // spellings of control tokens
  std::vector<int32_t> newline_ids_;  // of "\n" alone
};

}  // namespace llm
