// Cuts the bytes of one source into raw records: lines, blocks between blank lines, whole documents
// in pieces, JSON rows, elements of a JSON array.
//
// Cuts are a function of the bytes alone: before every decision the buffer holds `piece_bytes` or
// the end of the source. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/byte_source.h"
#include "data/text_reader.h"

namespace llm {

class RecordCutter {
 public:
  /// The source must outlive the cutter.
  RecordCutter(ByteSource& source, const TextReaderOptions& options);

  /// Fills bytes, line, source_byte, is_row, in_array, begins, ends; false at the end of the
  /// source.
  bool next(RawRecord& record);
  int64_t bytes_consumed() const { return consumed_; }

 private:
  enum class Shape { lines, blocks, whole, rows, elements };
  Shape choose_shape(const TextReaderOptions& options);
  bool fill(size_t wanted);  // true if that many bytes are there
  std::string_view ahead() const { return std::string_view(buffer_).substr(position_); }
  void take(RawRecord& record, size_t count);
  void skip(size_t count);
  size_t find_newline(size_t limit);
  bool next_line(RawRecord& record);
  bool next_block(RawRecord& record);
  bool next_whole(RawRecord& record);
  bool next_row(RawRecord& record);
  bool next_element(RawRecord& record);
  size_t blank_line_length();

  ByteSource& source_;
  size_t piece_bytes_;
  std::string buffer_;
  size_t position_ = 0;
  bool at_end_ = false;
  int64_t consumed_ = 0;
  int64_t line_ = 0;
  bool inside_ = false;  // the last record was a piece whose document goes on
  bool array_open_ = false;
  Shape shape_;
};

}  // namespace llm
