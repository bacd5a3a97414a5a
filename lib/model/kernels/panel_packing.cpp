#include "model/kernels/panel_packing.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "model/kernels/cpu_backend.h"

namespace llm::packed {
namespace {

constexpr int64_t kStretch = StoredRows::kDecodeColumns;
using PanelSources = std::array<const StoredRows*, kPanelRows>;
using PanelPointers = std::array<const std::byte*, kPanelRows>;

void pack_words(const PanelPointers& rows, int64_t words, uint32_t* panel) {
  int64_t word = has_cpu_backend() ? pack_rows(rows, words, panel) : 0;
  for (; word < words; ++word) {
    for (size_t row = 0; row < kPanelRows; ++row)
      std::memcpy(panel + word * kPanelRows + row, rows[row] + word * 4, 4);
  }
}

void round_row(const float* x, int64_t count, uint16_t* y) {
  if (has_cpu_backend()) return round_to_bfloat(x, count, y);
  for (int64_t i = 0; i < count; ++i) y[i] = stored<uint16_t>(x[i]);
}

void widen(const std::byte* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + i * 2, sizeof bits);
    to[i] = widened(bits);
  }
}

/// A few columns of 32 rows in the panel's number format, one row after another.
template <typename T>
struct Block {
  alignas(64) std::array<std::array<T, kStretch>, kPanelRows> rows;
  PanelPointers pointers;

  Block() {
    for (size_t row = 0; row < kPanelRows; ++row)
      pointers[row] = reinterpret_cast<const std::byte*>(rows[row].data());
  }

  void read(const StoredRows& source, const std::byte* from, int64_t first, int64_t count, T* to) {
    constexpr bool kBfloat = sizeof(T) == 2;
    if (source.numbers ==
        (kBfloat ? StoredRows::Numbers::bfloat16 : StoredRows::Numbers::float32)) {
      std::memcpy(to, from + static_cast<size_t>(first) * sizeof(T),
                  static_cast<size_t>(count) * sizeof(T));
    } else if constexpr (kBfloat) {
      alignas(64) std::array<float, kStretch> values;
      source.decode(source.format, from, first, count, values.data());
      round_row(values.data(), count, to);
    } else if (source.numbers == StoredRows::Numbers::bfloat16) {
      widen(from + static_cast<size_t>(first) * 2, count, to);
    } else {
      source.decode(source.format, from, first, count, to);
    }
    if (kBfloat && count % 2 == 1) to[count] = 0;
  }
};

/// Copies of the rows in this thread's cache. One long read of each is fetched ahead by the CPU;
/// thirty-two short ones in turns are not, and took twice as long.
PanelPointers read_ahead(const PanelSources& sources, const PanelPointers& pointers) {
  thread_local std::vector<std::byte> memory;
  size_t bytes = 0;
  for (const StoredRows* source : sources) bytes += source == nullptr ? 0 : source->row_bytes;
  if (memory.size() < bytes) memory.resize(bytes);
  PanelPointers copies{};
  std::byte* to = memory.data();
  for (size_t row = 0; row < kPanelRows; ++row) {
    if (sources[row] == nullptr) continue;
    copies[row] = to;
    std::memcpy(to, pointers[row], sources[row]->row_bytes);
    to += sources[row]->row_bytes;
  }
  return copies;
}

template <typename T>
void pack_in_stretches(const PanelSources& sources, const PanelPointers& pointers, int64_t columns,
                       uint32_t* panel) {
  const PanelPointers rows = read_ahead(sources, pointers);
  constexpr int64_t kPerWord = 4 / sizeof(T);
  Block<T> block;
  for (int64_t first = 0; first < columns; first += kStretch) {
    const int64_t count = std::min(kStretch, columns - first);
    for (size_t row = 0; row < kPanelRows; ++row) {
      if (sources[row] == nullptr) {
        block.rows[row].fill(0);
      } else {
        block.read(*sources[row], rows[row], first, count, block.rows[row].data());
      }
    }
    pack_words(block.pointers, (count + kPerWord - 1) / kPerWord,
               panel + first / kPerWord * kPanelRows);
  }
}

}  // namespace

void pack_panel(std::span<const StoredRows> matrices, bool bfloat, int64_t index, uint32_t* panel) {
  const int64_t columns = matrices.front().columns;
  const auto wanted = bfloat ? StoredRows::Numbers::bfloat16 : StoredRows::Numbers::float32;
  PanelSources sources{};
  PanelPointers pointers{};
  bool as_they_are = !bfloat || columns % 2 == 0;
  int64_t local = index * kPanelRows;
  const StoredRows* matrix = matrices.data();
  const StoredRows* end = matrix + matrices.size();
  for (size_t row = 0; row < kPanelRows; ++row, ++local) {
    while (matrix != end && local >= matrix->rows) local -= (matrix++)->rows;
    if (matrix != end) {
      sources[row] = matrix;
      pointers[row] = matrix->row(local);
    }
    as_they_are = as_they_are && matrix != end && matrix->numbers == wanted;
  }
  if (as_they_are) {
    pack_words(pointers, bfloat ? columns / 2 : columns, panel);
  } else if (bfloat) {
    pack_in_stretches<uint16_t>(sources, pointers, columns, panel);
  } else {
    pack_in_stretches<float>(sources, pointers, columns, panel);
  }
}

}  // namespace llm::packed
