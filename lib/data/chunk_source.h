// Records of the inputs of prepare-data in chunks for its workers, cut where the tail begins that
// goes to validation. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "data/encode_chunk.h"
#include "data/prepare.h"
#include "data/text_reader.h"

namespace llm {

class ChunkSource {
 public:
  /// Reads all inputs once more before, for their length, where a tail is to be cut off.
  explicit ChunkSource(const PrepareOptions& options);
  /// The next chunk in place of what `records` holds; false at the end.
  bool take(std::vector<PendingRecord>& records);
  int64_t bytes_read() const { return reader_.bytes_read(); }

 private:
  void add(PendingRecord&& record, std::vector<PendingRecord>& records);

  TextReader reader_;
  int64_t tail_begins_ = -1;
  size_t expected_records_ = 0;
  bool tail_reached_ = false;
};

}  // namespace llm
