#include "data/chunk_source.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace llm {
namespace {

constexpr int64_t kChunkBytes = int64_t{128} << 10;

}  // namespace

ChunkSource::ChunkSource(const PrepareOptions& options) : reader_(options.inputs, options.reader) {
  if (options.val_fraction > 0 && options.val_split == ValidationSplit::tail) {
    int64_t total = count_text_bytes(options.inputs);
    tail_begins_ =
        static_cast<int64_t>(std::floor(static_cast<double>(total) * (1 - options.val_fraction)));
  }
}

bool ChunkSource::take(std::vector<PendingRecord>& records) {
  records.clear();
  records.reserve(expected_records_);
  int64_t bytes = 0;
  while (bytes < kChunkBytes) {
    PendingRecord record;
    if (!reader_.next_record(record.raw)) {
      break;
    }
    bytes += static_cast<int64_t>(record.raw.bytes.size());
    add(std::move(record), records);
  }
  expected_records_ = records.size() + records.size() / 4;
  return !records.empty();
}

void ChunkSource::add(PendingRecord&& record, std::vector<PendingRecord>& records) {
  int64_t begin = record.raw.begin_byte;
  bool cuttable = !record.raw.is_row && reader_.options().split == TextSplit::document;
  int64_t room = tail_begins_ - begin;
  if (tail_begins_ >= 0 && cuttable && room > 0 &&
      room < static_cast<int64_t>(record.raw.bytes.size())) {
    std::string_view left = std::string_view(record.raw.bytes).substr(0, static_cast<size_t>(room));
    size_t cut = left.size() - utf8::incomplete_suffix_length(left);
    PendingRecord head = record;
    head.raw.bytes.resize(cut);
    head.raw.ends = true;
    head.ends_at_cut = true;
    records.push_back(std::move(head));
    record.raw.bytes.erase(0, cut);
    record.raw.source_byte += static_cast<int64_t>(cut);
    record.raw.begins = true;
    record.in_tail = true;
  } else {
    record.in_tail = tail_begins_ >= 0 && begin >= tail_begins_;
    bool continues_in_tail = record.in_tail && cuttable && !record.raw.begins && !tail_reached_;
    if (continues_in_tail) {  // the cut falls between two pieces: close the one before
      record.raw.begins = true;
    }
  }
  tail_reached_ = tail_reached_ || record.in_tail;
  records.push_back(std::move(record));
}

}  // namespace llm
