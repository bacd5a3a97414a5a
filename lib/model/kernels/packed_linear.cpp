#include "model/kernels/packed_linear.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/kernels/panel_packing.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

using packed::kPanelRows;

int64_t panel_count(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
int64_t padded_columns(int64_t columns, bool bfloat) {
  return bfloat ? (columns + 1) / 2 * 2 : columns;
}
size_t element_bytes(bool bfloat) { return bfloat ? 2 : 4; }

int64_t panel_words(const PackedWeight& weight) {
  return kPanelRows * padded_columns(weight.columns, weight.bfloat) / (weight.bfloat ? 2 : 1);
}

/// One panel out of the unpacked matrices, in cache-sized memory of this thread.
const uint32_t* panel_in_cache(const PackedWeight& weight, int64_t index) {
  constexpr size_t kLine = 16;  // words: panels are read in whole cache lines
  thread_local std::vector<uint32_t> memory;
  const auto words = static_cast<size_t>(panel_words(weight));
  if (memory.size() < words + kLine) memory.resize(words + kLine);
  auto address = reinterpret_cast<uintptr_t>(memory.data());
  auto* panel = reinterpret_cast<uint32_t*>((address + 63) / 64 * 64);
  packed::pack_panel(weight.unpacked, weight.bfloat, index, panel);
  return panel;
}

}  // namespace

bool packed_kernels_available() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bf16");
}

int64_t PackedWeight::bytes() const {
  return panel_count(rows) * kPanelRows * padded_columns(columns, bfloat) *
         static_cast<int64_t>(element_bytes(bfloat));
}

PackedWeight defer_packing(std::span<const StoredRows> matrices, bool bfloat) {
  check(!matrices.empty(), "pack_weights: no weights");
  PackedWeight packed;
  packed.columns = matrices.front().columns;
  packed.bfloat = bfloat;
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
  auto* panels = reinterpret_cast<uint32_t*>(weight.panels.data());
  team.for_each(panel_count(weight.rows), [&](int64_t index, int) {
    packed::pack_panel(weight.unpacked, weight.bfloat, index, panels + index * panel_words(weight));
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
      out[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
    return;
  }
  if (matrix.numbers == StoredRows::Numbers::float32) {
    std::memcpy(out, from, columns * sizeof(float));
  } else {
    matrix.decode(matrix.format, from, 0, matrix.columns, out);
  }
  if (!bfloat) return;
  for (size_t i = 0; i < columns; ++i)
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(packed::stored<uint16_t>(out[i])) << 16);
}

int64_t activation_row_elements(const PackedWeight& weight) {
  return padded_columns(weight.columns, weight.bfloat);
}

void packed_linear(const PackedWeight& weight, const void* x, int64_t count, float* y,
                   int64_t y_stride, WorkerTeam& team) {
  const int64_t columns = activation_row_elements(weight);
  const int64_t panels = panel_count(weight.rows);
  const int64_t words = panel_words(weight);
  // `more`: the panel behind it is this thread's too. Few rows wait for memory anyway, which the
  // processor's own fetching then serves as well.
  const auto one_panel = [&](const auto* panel_values, int64_t panel, bool more) {
    using T = std::remove_cvref_t<decltype(*panel_values)>;
    const int64_t outputs = std::min(kPanelRows, weight.rows - panel * kPanelRows);
    const T* next = more && count > packed::kRowsAtOnce
                        ? panel_values + words * static_cast<int64_t>(4 / sizeof(T))
                        : nullptr;
    packed::panel_product(panel_values, static_cast<const T*>(x), columns, columns, count,
                          y + panel * kPanelRows, y_stride, outputs, next);
  };
  team.for_each(panels, [&](int64_t panel, int, bool more) {
    const bool packed = weight.unpacked.empty();
    const uint32_t* values =
        packed ? reinterpret_cast<const uint32_t*>(weight.panels.data()) + panel * words
               : panel_in_cache(weight, panel);
    if (weight.bfloat) {
      one_panel(reinterpret_cast<const uint16_t*>(values), panel, packed && more);
    } else {
      one_panel(reinterpret_cast<const float*>(values), panel, packed && more);
    }
  });
}

}  // namespace llm
