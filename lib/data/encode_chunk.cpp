#include "data/encode_chunk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/random.h"
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

EncodedChunk encode_chunk(std::vector<PendingRecord>&& records, const EncodeRules& rules,
                          const Tokenizer& tokenizer) {
  EncodedChunk chunk;
  chunk.pieces.reserve(records.size());
  for (PendingRecord& record : records) {
    bool begins = record.raw.begins;
    bool ends = record.raw.ends;
    bool is_row = record.raw.is_row;
    std::string text;
    try {
      text = record_text(std::move(record.raw), rules.reader);
    } catch (const Error& error) {
      if (!rules.reader.skip_bad || !is_row) {
        throw;
      }
      chunk.first_bad_row = chunk.skipped_rows == 0 ? error.message() : chunk.first_bad_row;
      chunk.skipped_rows += 1;
      continue;
    }
    if (text.empty() && begins && ends) {
      continue;
    }
    size_t before = chunk.ids.size();
    if (begins && rules.add_bos && tokenizer.bos_id() >= 0) {
      chunk.ids.push_back(tokenizer.bos_id());
    }
    std::vector<int32_t> ids = tokenizer.encode(text);
    chunk.ids.insert(chunk.ids.end(), ids.begin(), ids.end());
    if (ends && !record.ends_at_cut && rules.add_eos) {
      chunk.ids.push_back(tokenizer.eos_id());
    }
    bool validation = record.in_tail || (rules.hash_fraction > 0 && begins &&
                                         document_rank(rules.seed, text) < rules.hash_fraction);
    chunk.pieces.push_back({static_cast<int64_t>(chunk.ids.size() - before),
                            static_cast<int64_t>(text.size()), begins, ends, validation});
  }
  return chunk;
}

}  // namespace llm
