#include "model/kernels/packed_linear.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

using packed::kPanelRows;

constexpr size_t kHugePageBytes = size_t{2} << 20;

int64_t panel_count(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
int64_t padded_columns(int64_t columns, bool bfloat) {
  return bfloat ? (columns + 1) / 2 * 2 : columns;
}
size_t element_bytes(bool bfloat) { return bfloat ? 2 : 4; }

/// Writes `rows` rows of a source into the panels, starting at packed row `first`.
template <typename T, int Group>
void pack_rows(const T* source, int64_t rows, int64_t columns, T* panels, int64_t first) {
  const int64_t panel_size = kPanelRows * padded_columns(columns, Group == 2);
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t place = first + row;
      T* panel = panels + place / kPanelRows * panel_size + place % kPanelRows * Group;
      for (int64_t k = 0; k < columns; ++k)
        panel[k / Group * Group * kPanelRows + k % Group] = source[row * columns + k];
    }
  });
}

}  // namespace

bool packed_kernels_available() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bf16");
}

StreamBuffer::StreamBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePageBytes;
  mapped_ = huge ? bytes + kHugePageBytes : bytes;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw std::bad_alloc();
  }
  data_ = static_cast<std::byte*>(mapping_);
  if (!huge) return;
  data_ += (kHugePageBytes - reinterpret_cast<uintptr_t>(data_) % kHugePageBytes) % kHugePageBytes;
  madvise(data_, bytes, MADV_HUGEPAGE);
}

StreamBuffer::~StreamBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

void StreamBuffer::swap(StreamBuffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
}

PackedWeight pack_weights(std::span<const at::Tensor> weights) {
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
  }
  const int64_t elements =
      panel_count(packed.rows) * kPanelRows * padded_columns(packed.columns, packed.bfloat);
  packed.panels =
      StreamBuffer(static_cast<size_t>(elements) *
                   element_bytes(packed.bfloat));  // fresh memory is zero: so is the padding
  int64_t first = 0;
  for (const at::Tensor& weight : weights) {
    const at::Tensor rows = weight.contiguous();
    if (packed.bfloat) {
      pack_rows<uint16_t, 2>(static_cast<const uint16_t*>(rows.const_data_ptr()), rows.size(0),
                             packed.columns, reinterpret_cast<uint16_t*>(packed.panels.data()),
                             first);
    } else {
      pack_rows<float, 1>(static_cast<const float*>(rows.const_data_ptr()), rows.size(0),
                          packed.columns, reinterpret_cast<float*>(packed.panels.data()), first);
    }
    first += rows.size(0);
  }
  return packed;
}

int64_t activation_row_elements(const PackedWeight& weight) {
  return padded_columns(weight.columns, weight.bfloat);
}

void packed_linear(const PackedWeight& weight, const void* x, int64_t count, float* y,
                   int64_t y_stride, WorkerTeam& team) {
  const int64_t columns = activation_row_elements(weight);
  const int64_t panels = panel_count(weight.rows);
  const auto one_panel = [&](auto* values, int64_t panel) {
    using T = std::remove_reference_t<decltype(*values)>;
    const int64_t outputs = std::min(kPanelRows, weight.rows - panel * kPanelRows);
    packed::panel_product(values + panel * kPanelRows * columns, static_cast<const T*>(x), columns,
                          columns, count, y + panel * kPanelRows, y_stride, outputs);
  };
  // Several items per member, so that one that is held up leaves its share to the others, but each
  // a stretch of sequential memory.
  const int64_t grain = std::clamp<int64_t>(panels / (8 * team.size()), 1, 8);
  team.for_each((panels + grain - 1) / grain, [&](int64_t item, int) {
    for (int64_t panel = item * grain; panel < std::min(panels, (item + 1) * grain); ++panel) {
      if (weight.bfloat) {
        one_panel(reinterpret_cast<const uint16_t*>(weight.panels.data()), panel);
      } else {
        one_panel(reinterpret_cast<const float*>(weight.panels.data()), panel);
      }
    }
  });
}

}  // namespace llm
