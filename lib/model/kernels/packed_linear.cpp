#include "model/kernels/packed_linear.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/kernels/panel_packing.h"
#include "model/kernels/weight_codes.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

using packed::kPanelRows;

int64_t panel_count(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
int64_t padded_columns(int64_t columns, bool bfloat) {
  return bfloat ? (columns + 1) / 2 * 2 : columns;
}
size_t element_bytes(bool bfloat) { return bfloat ? 2 : 4; }

int64_t panel_bytes(const PackedWeight& weight) {
  if (weight.codes != Codes::none) return packed::code_panel_bytes(weight.codes, weight.columns);
  return kPanelRows * padded_columns(weight.columns, weight.bfloat) *
         static_cast<int64_t>(element_bytes(weight.bfloat));
}

/// Cache-sized memory of this thread, in whole cache lines. Two buffers: a panel in codes is made
/// from one in float32.
std::byte* cache_of_thread(int which, size_t bytes) {
  constexpr size_t kLine = 64;
  thread_local std::array<std::vector<std::byte>, 2> memories;
  std::vector<std::byte>& memory = memories[static_cast<size_t>(which)];
  if (memory.size() < bytes + kLine) memory.resize(bytes + kLine);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return memory.data() + (kLine - address % kLine) % kLine;
}

/// One panel out of the unpacked matrices.
void make_panel(const PackedWeight& weight, int64_t index, std::byte* panel) {
  if (weight.codes == Codes::none)
    return packed::pack_panel(weight.unpacked, weight.bfloat, index,
                              reinterpret_cast<uint32_t*>(panel));
  const auto floats = static_cast<size_t>(kPanelRows * weight.columns) * sizeof(float);
  std::byte* values = cache_of_thread(1, floats);
  packed::pack_panel(weight.unpacked, false, index, reinterpret_cast<uint32_t*>(values));
  packed::encode_panel(weight.codes, reinterpret_cast<const float*>(values), weight.columns, panel);
}

const std::byte* panel_in_cache(const PackedWeight& weight, int64_t index) {
  std::byte* panel = cache_of_thread(0, static_cast<size_t>(panel_bytes(weight)));
  make_panel(weight, index, panel);
  return panel;
}

}  // namespace

int64_t PackedWeight::bytes() const { return panel_count(rows) * panel_bytes(*this); }

PackedWeight defer_packing(std::span<const StoredRows> matrices, bool bfloat, Codes codes) {
  check(!matrices.empty(), "pack_weights: no weights");
  PackedWeight packed;
  packed.columns = matrices.front().columns;
  packed.bfloat = bfloat;
  packed.codes = codes;
  for (const StoredRows& matrix : matrices) {
    check(matrix.columns == packed.columns, "pack_weights: matrices of {} columns expected",
          packed.columns);
    packed.rows += matrix.rows;
    packed.unpacked.push_back(matrix);
  }
  return packed;
}

void pack_deferred(PackedWeight& weight, WorkerTeam& team) {
  if (weight.unpacked.empty()) return;
  weight.panels = StreamBuffer(static_cast<size_t>(weight.bytes()));
  const int64_t bytes = panel_bytes(weight);
  team.for_each(panel_count(weight.rows), [&](int64_t index, int) {
    make_panel(weight, index, weight.panels.data() + index * bytes);
  });
  weight.unpacked.clear();
}

void read_row(const StoredRows& matrix, int64_t row, bool bfloat, float* out) {
  const std::byte* from = matrix.row(row);
  const auto columns = static_cast<size_t>(matrix.columns);
  if (matrix.numbers == StoredRows::Numbers::bfloat16) {
    for (size_t i = 0; i < columns; ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, from + i * sizeof bits, sizeof bits);
      out[i] = packed::widened(bits);
    }
    return;
  }
  if (matrix.numbers == StoredRows::Numbers::float32) {
    std::memcpy(out, from, columns * sizeof(float));
  } else {
    matrix.decode(matrix.format, from, 0, matrix.columns, out);
  }
  if (!bfloat) return;
  for (size_t i = 0; i < columns; ++i) out[i] = packed::widened(packed::stored<uint16_t>(out[i]));
}

int64_t activation_row_elements(const PackedWeight& weight) {
  return padded_columns(weight.columns, weight.bfloat);
}

void packed_linear(const PackedWeight& weight, const void* x, int64_t count, float* y,
                   int64_t y_stride, WorkerTeam& team) {
  const int64_t columns = activation_row_elements(weight);
  const int64_t panels = panel_count(weight.rows);
  const int64_t bytes = panel_bytes(weight);
  const bool packed = weight.unpacked.empty();
  // `more`: the panel behind it is this thread's too. Few rows wait for memory anyway, which the
  // processor's own fetching then serves as well.
  const auto one_panel = [&]<typename T>(const T* rows, const std::byte* panel, int64_t index,
                                         bool more) {
    const int64_t outputs = std::min(kPanelRows, weight.rows - index * kPanelRows);
    float* to = y + index * kPanelRows;
    if (weight.codes != Codes::none)
      return packed::code_panel_product(weight.codes, panel, rows, columns, weight.columns, count,
                                        to, y_stride, outputs);
    const bool ahead = packed && more && count > packed::kRowsAtOnce;
    packed::panel_product(reinterpret_cast<const T*>(panel), rows, columns, columns, count, to,
                          y_stride, outputs,
                          ahead ? reinterpret_cast<const T*>(panel + bytes) : nullptr);
  };
  team.for_each(panels, [&](int64_t index, int, bool more) {
    const std::byte* panel =
        packed ? weight.panels.data() + index * bytes : panel_in_cache(weight, index);
    if (weight.bfloat) {
      one_panel(static_cast<const uint16_t*>(x), panel, index, more);
    } else {
      one_panel(static_cast<const float*>(x), panel, index, more);
    }
  });
}

}  // namespace llm
