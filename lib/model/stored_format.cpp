#include "model/stored_format.h"

namespace llm {
namespace {

void decode_stretch(const void* format, const std::byte* row, int64_t first, int64_t count,
                    float* out) {
  const auto& blocks = *static_cast<const BlockFormat*>(format);
  const auto bytes = [&](int64_t numbers) {
    return static_cast<size_t>(numbers) / blocks.values * blocks.bytes;
  };
  dequantize(blocks, {row + bytes(first), bytes(count)}, {out, static_cast<size_t>(count)});
}

}  // namespace

StoredRows rows_in_format(const BlockFormat& format, const std::byte* data, int64_t rows,
                          int64_t columns) {
  StoredRows stored;
  stored.data = data;
  stored.rows = rows;
  stored.columns = columns;
  stored.row_bytes = static_cast<size_t>(columns) / format.values * format.bytes;
  stored.numbers = format.type == GgmlType::f32    ? StoredRows::Numbers::float32
                   : format.type == GgmlType::bf16 ? StoredRows::Numbers::bfloat16
                                                   : StoredRows::Numbers::others;
  stored.decode = decode_stretch;
  stored.format = &format;
  return stored;
}

}  // namespace llm
