// A matrix as a mapped file holds it: what packed weights are made from (packed_linear.h) without
// an unpacked copy in between. No LibTorch. Constant; may be read by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace llm {

struct StoredRows {
  enum class Numbers {
    float32,
    bfloat16,
    others,  // decode() knows
  };
  /// Numbers first .. first + count - 1 of a row as float32, where `first` is a multiple of
  /// kDecodeColumns and the stretch ends at one or at the end of the row.
  using Decode = void (*)(const void* format, const std::byte* row, int64_t first, int64_t count,
                          float* out);
  static constexpr int64_t kDecodeColumns = 256;

  const std::byte* data = nullptr;
  int64_t rows = 0, columns = 0;
  size_t row_bytes = 0;  // from one row to the next
  Numbers numbers = Numbers::float32;
  Decode decode = nullptr;  // needed for others, and where a product wants another format
  const void* format = nullptr;
  /// 0, or the rows of each head of that many lie as 0, head_rows / 2, 1, head_rows / 2 + 1, ...
  int64_t paired_head_rows = 0;
  std::shared_ptr<const void> keeper;  // of the bytes; null where the owner lives long enough

  /// Where row `row` lies.
  const std::byte* row(int64_t row) const {
    if (paired_head_rows != 0) {
      const int64_t half = paired_head_rows / 2, in_head = row % paired_head_rows;
      row += in_head % half * 2 + in_head / half - in_head;
    }
    return data + static_cast<size_t>(row) * row_bytes;
  }
};

}  // namespace llm
