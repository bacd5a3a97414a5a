// The two products of a low-rank delta on one row, for models whose weights are packed: u = A x,
// then y += scale * B u. T is uint16_t (the bits of a bfloat16) or float; sums are float32. A row's
// result depends on nothing but its own numbers: the order of additions is that of the columns,
// then of the ranks. No threads, no allocation. Needs AVX-512 (packed_linear.h).
#pragma once

#include <cstdint>

namespace llm::packed {

/// u[k] = a[k] . x for `ranks` rows of a, which are `columns` long and lie one behind the other.
template <typename T>
void lora_down(const T* a, int64_t ranks, int64_t columns, const T* x, float* u);

/// y[i] += scale * sum over k of u[k] * b[k * stride + i], for i below `outputs`.
template <typename T>
void lora_up(const T* b, int64_t ranks, int64_t stride, int64_t outputs, const float* u,
             float scale, float* y);

}  // namespace llm::packed
