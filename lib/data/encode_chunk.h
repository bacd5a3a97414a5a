// One unit of work of prepare-data: raw records in, token ids out. Pure functions of their
// arguments; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_reader.h"

namespace llm {

class RowEncoder;
class Tokenizer;

/// A record with what is known of it before it is parsed.
struct PendingRecord {
  RawRecord raw;
  bool in_tail = false;      // tail split: lies in the validation part
  bool ends_at_cut = false;  // tail split: the document was cut here and goes on in the other part
};

/// What became of the records of one chunk: pieces in order, their ids one after another.
struct EncodedChunk {
  struct Piece {
    int64_t ids = 0;
    int64_t text_bytes = 0;
    bool begins = false;
    bool ends = false;
    bool validation = false;  // of the document that begins here; later pieces follow their first
  };
  std::vector<Piece> pieces;
  std::vector<int32_t> ids;
  bool marked = false;          // not all ids are to be learnt:
  std::vector<uint8_t> learnt;  // then for each whether it is
  int64_t rendered = 0;         // rows that a chat template made text of
  int64_t skipped_rows = 0;
  std::string first_bad_row;
};

struct EncodeRules {
  TextReaderOptions reader;
  double hash_fraction = 0;  // 0: only in_tail decides
  uint64_t seed = 0;
  bool add_bos = false;
  bool add_eos = true;
  const RowEncoder* rows = nullptr;  // null: rows are plain text, and all of it is learnt
};

EncodedChunk encode_chunk(std::vector<PendingRecord>&& records, const EncodeRules& rules,
                          const Tokenizer& tokenizer);

/// In [0, 1): where a document stands under this seed. The same on every machine and in every
/// version, because it decides what is validation data.
double document_rank(uint64_t seed, std::string_view bytes);

}  // namespace llm
