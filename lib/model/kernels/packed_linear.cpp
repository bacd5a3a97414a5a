#include "model/kernels/packed_linear.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

using packed::kPanelRows;

int64_t panel_count(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
int64_t padded_columns(int64_t columns, bool bfloat) {
  return bfloat ? (columns + 1) / 2 * 2 : columns;
}
size_t element_bytes(bool bfloat) { return bfloat ? 2 : 4; }

/// A panel as 32-bit words: a pair of bfloat16 columns or one float32 column per word, word-column
/// by word-column of all 32 rows. Copies rows [first, last) of the panel from `source`, which is
/// row `first`. Block by block, so that both sides are read and written in whole cache lines.
void pack_panel(const std::byte* source, size_t row_bytes, int64_t words, int64_t first,
                int64_t last, uint32_t* panel) {
  constexpr int64_t kBlock = 16;  // words: a cache line of each row
  std::array<std::array<uint32_t, kBlock>, kPanelRows> block;
  int64_t word = 0;
  if (first == 0 && last == kPanelRows && packed_kernels_available()) {
    word = packed::pack_rows(source, row_bytes, words, panel);
  }
  for (; word < words; word += kBlock) {
    const int64_t count = std::min(kBlock, words - word);
    for (int64_t row = first; row < last; ++row) {
      std::memcpy(block[static_cast<size_t>(row)].data(),
                  source + static_cast<size_t>(row - first) * row_bytes + word * 4,
                  static_cast<size_t>(count) * 4);
    }
    for (int64_t i = 0; i < count; ++i) {
      uint32_t* out = panel + (word + i) * kPanelRows;
      for (int64_t row = first; row < last; ++row)
        out[row] = block[static_cast<size_t>(row)][static_cast<size_t>(i)];
    }
  }
}

int64_t panel_words(const PackedWeight& weight) {
  return kPanelRows * padded_columns(weight.columns, weight.bfloat) / (weight.bfloat ? 2 : 1);
}

/// Writes those rows of a contiguous matrix that belong to a panel; the matrix begins at packed row
/// `first`.
void pack_into_panel(const PackedWeight& weight, const at::Tensor& rows, int64_t first,
                     int64_t index, uint32_t* panel) {
  const int64_t columns = weight.columns, count = rows.size(0), top = index * kPanelRows;
  const int64_t from = std::max(first, top), to = std::min(first + count, top + kPanelRows);
  if (from >= to) return;
  const int64_t words = weight.bfloat ? columns / 2 : columns;
  const size_t row_bytes = static_cast<size_t>(columns) * element_bytes(weight.bfloat);
  const std::byte* values = static_cast<const std::byte*>(rows.const_data_ptr()) +
                            static_cast<size_t>(from - first) * row_bytes;
  pack_panel(values, row_bytes, words, from - top, to - top, panel);
  if (!weight.bfloat || columns % 2 == 0) return;
  for (int64_t row = from; row < to; ++row) {  // the last column, beside a zero
    uint16_t last = 0;
    std::memcpy(&last, values + static_cast<size_t>(row - from + 1) * row_bytes - 2, 2);
    panel[words * kPanelRows + row - top] = last;
  }
}

/// All rows of one panel from the unpacked matrices; the rest of it stays as it is.
void pack_whole_panel(const PackedWeight& weight, int64_t index, uint32_t* panel) {
  int64_t first = 0;
  for (const at::Tensor& rows : weight.unpacked) {
    pack_into_panel(weight, rows, first, index, panel);
    first += rows.size(0);
  }
}

/// One panel out of the unpacked matrices, in cache-sized memory of this thread.
const uint32_t* panel_in_cache(const PackedWeight& weight, int64_t index) {
  constexpr size_t kLine = 16;  // words: panels are read in whole cache lines
  thread_local std::vector<uint32_t> memory;
  const auto words = static_cast<size_t>(panel_words(weight));
  if (memory.size() < words + kLine) memory.resize(words + kLine);
  auto address = reinterpret_cast<uintptr_t>(memory.data());
  auto* panel = reinterpret_cast<uint32_t*>((address + 63) / 64 * 64);
  const bool whole = (index + 1) * kPanelRows <= weight.rows && weight.columns % 2 == 0;
  if (!whole) std::fill(panel, panel + words, 0);
  pack_whole_panel(weight, index, panel);
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

PackedWeight defer_packing(std::span<const at::Tensor> weights) {
  check(!weights.empty(), "pack_weights: no weights");
  PackedWeight packed;
  packed.columns = weights.front().size(1);
  packed.bfloat = weights.front().scalar_type() == at::kBFloat16;
  for (const at::Tensor& weight : weights) {
    check(weight.dim() == 2 && weight.size(1) == packed.columns,
          "pack_weights: matrices of {} columns expected", packed.columns);
    check(weight.device().is_cpu() && weight.scalar_type() == weights.front().scalar_type() &&
              (packed.bfloat || weight.scalar_type() == at::kFloat),
          "pack_weights: float32 or bfloat16 on the CPU expected");
    packed.rows += weight.size(0);
    packed.unpacked.push_back(weight.contiguous());
  }
  return packed;
}

void map_deferred(const PackedWeight& weight) {
#ifdef MADV_POPULATE_READ  // Linux 5.14
  constexpr uintptr_t kPage = 4096;
  for (const at::Tensor& matrix : weight.unpacked) {
    const auto begin = reinterpret_cast<uintptr_t>(matrix.const_data_ptr());
    const uintptr_t first = begin / kPage * kPage;
    madvise(reinterpret_cast<void*>(first), begin + matrix.nbytes() - first, MADV_POPULATE_READ);
  }
#else
  (void)weight;
#endif
}

void pack_deferred(PackedWeight& weight) {
  if (weight.unpacked.empty()) return;
  // Fresh memory is zero: so is the padding.
  weight.panels = StreamBuffer(static_cast<size_t>(weight.bytes()));
  auto* panels = reinterpret_cast<uint32_t*>(weight.panels.data());
  at::parallel_for(0, panel_count(weight.rows), 4, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      pack_whole_panel(weight, index, panels + index * panel_words(weight));
    }
  });
  weight.unpacked.clear();
}

PackedWeight pack_weights(std::span<const at::Tensor> weights) {
  PackedWeight packed = defer_packing(weights);
  pack_deferred(packed);
  return packed;
}

int64_t activation_row_elements(const PackedWeight& weight) {
  return padded_columns(weight.columns, weight.bfloat);
}

void packed_linear(const PackedWeight& weight, const void* x, int64_t count, float* y,
                   int64_t y_stride, WorkerTeam& team) {
  const int64_t columns = activation_row_elements(weight);
  const int64_t panels = panel_count(weight.rows);
  const int64_t words = panel_words(weight);
  const auto one_panel = [&](const auto* panel_values, int64_t panel) {
    using T = std::remove_cvref_t<decltype(*panel_values)>;
    const int64_t outputs = std::min(kPanelRows, weight.rows - panel * kPanelRows);
    packed::panel_product(panel_values, static_cast<const T*>(x), columns, columns, count,
                          y + panel * kPanelRows, y_stride, outputs);
  };
  // Several items per member, so that one that is held up leaves its share to the others, but each
  // a stretch of sequential memory.
  const int64_t grain = std::clamp<int64_t>(panels / (8 * team.size()), 1, 8);
  team.for_each((panels + grain - 1) / grain, [&](int64_t item, int) {
    for (int64_t panel = item * grain; panel < std::min(panels, (item + 1) * grain); ++panel) {
      const uint32_t* values =
          weight.unpacked.empty()
              ? reinterpret_cast<const uint32_t*>(weight.panels.data()) + panel * words
              : panel_in_cache(weight, panel);
      if (weight.bfloat) {
        one_panel(reinterpret_cast<const uint16_t*>(values), panel);
      } else {
        one_panel(reinterpret_cast<const float*>(values), panel);
      }
    }
  });
}

}  // namespace llm
