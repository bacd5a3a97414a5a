#include "data/encode_chunk.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "data/chat_format.h"
#include "tokenizer/tokenizer.h"

namespace llm {

double document_rank(uint64_t seed, std::string_view bytes) {
  uint64_t hash = combine_keys(seed, bytes.size());
  while (!bytes.empty()) {
    uint64_t word = 0;
    size_t count = std::min<size_t>(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), count);
    hash = mix64(hash ^ word);
    bytes.remove_prefix(count);
  }
  return unit_double(hash);
}

namespace {

/// A record with its ids, as far as they do not depend on where in its document it stands.
struct EncodedRecord {
  RowEncoder::Row row;
  std::string text;  // what a hash of the document is taken of
};

EncodedRecord encode_record(RawRecord&& raw, const EncodeRules& rules, const Tokenizer& tokenizer) {
  EncodedRecord record;
  if (raw.is_row && rules.rows != nullptr) {
    const std::string place = place_of(raw);
    record.row = rules.rows->encode(parse_json_row(raw.bytes, place, rules.reader), place);
    record.text = std::move(raw.bytes);
    return record;
  }
  record.text = record_text(std::move(raw), rules.reader);
  record.row.text_bytes = static_cast<int64_t>(record.text.size());
  record.row.marked.ids = tokenizer.encode(record.text);
  return record;
}

/// Adds a record's ids with what stands around them. Marks are kept from the first id on that is
/// not learnt; begin and end of a document are learnt where the id beside them is.
void add_ids(EncodedChunk& chunk, const MarkedIds& marked, std::optional<int32_t> bos,
             std::optional<int32_t> eos) {
  const std::vector<uint8_t>& marks = marked.learnt;
  if (!chunk.marked && std::find(marks.begin(), marks.end(), 0) != marks.end()) {
    chunk.marked = true;
    chunk.learnt.assign(chunk.ids.size(), 1);
  }
  const auto add = [&](std::span<const int32_t> ids, uint8_t learnt) {
    chunk.ids.insert(chunk.ids.end(), ids.begin(), ids.end());
    if (chunk.marked) chunk.learnt.insert(chunk.learnt.end(), ids.size(), learnt);
  };
  if (bos) add({&*bos, 1}, marks.empty() ? 1 : marks.front());
  add(marked.ids, 1);
  if (chunk.marked) {
    std::copy(marks.begin(), marks.end(), chunk.learnt.end() - std::ssize(marks));
  }
  if (eos) add({&*eos, 1}, marks.empty() ? 1 : marks.back());
}

}  // namespace

EncodedChunk encode_chunk(std::vector<PendingRecord>&& records, const EncodeRules& rules,
                          const Tokenizer& tokenizer) {
  EncodedChunk chunk;
  chunk.pieces.reserve(records.size());
  for (PendingRecord& record : records) {
    const bool begins = record.raw.begins;
    const bool ends = record.raw.ends;
    const bool is_row = record.raw.is_row;
    EncodedRecord encoded;
    try {
      encoded = encode_record(std::move(record.raw), rules, tokenizer);
    } catch (const Error& error) {
      if (!rules.reader.skip_bad || !is_row) {
        throw;
      }
      chunk.first_bad_row = chunk.skipped_rows == 0 ? error.message() : chunk.first_bad_row;
      chunk.skipped_rows += 1;
      continue;
    }
    const RowEncoder::Row& row = encoded.row;
    if (row.text_bytes == 0 && begins && ends) {
      continue;
    }
    chunk.rendered += row.from_template ? 1 : 0;
    const size_t before = chunk.ids.size();
    const bool bos = begins && rules.add_bos && !row.from_template && tokenizer.bos_id() >= 0;
    const bool eos = ends && !record.ends_at_cut && rules.add_eos && !row.ends_itself;
    add_ids(chunk, row.marked, bos ? std::optional(tokenizer.bos_id()) : std::nullopt,
            eos ? std::optional(tokenizer.eos_id()) : std::nullopt);
    const bool validation =
        record.in_tail || (rules.hash_fraction > 0 && begins &&
                           document_rank(rules.seed, encoded.text) < rules.hash_fraction);
    chunk.pieces.push_back({static_cast<int64_t>(chunk.ids.size() - before), row.text_bytes, begins,
                            ends, validation});
  }
  return chunk;
}

}  // namespace llm
