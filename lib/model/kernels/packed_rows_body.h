// Rows of a packed pass, compiled once for each instruction set; see packed_kernels.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "model/kernels/packed_kernels.h"

namespace llm::packed::LLM_SIMD {
namespace {

namespace simd = llm::simd::LLM_SIMD;
using simd::Floats;
using simd::Mask;

Mask lanes_between(int64_t at, int64_t first, int64_t last) {
  const auto below = [](int64_t n) { return n <= 0 ? 0u : n >= 16 ? 0xffffu : (1u << n) - 1; };
  return static_cast<Mask>(below(last - at) & ~below(first - at));
}

/// Zeroes the second half of the last pair of an odd row.
void pad_pair(uint16_t* y, int64_t columns) {
  if (columns % 2 != 0) y[columns] = 0;
}
void pad_pair(float*, int64_t) {}

Floats gelu_of(Floats x) {
  alignas(64) float lanes[16];
  simd::store(lanes, x);
  for (float& value : lanes) value = 0.5f * value * (1.0f + std::erf(value * 0.70710678f));
  return simd::load(lanes);
}

}  // namespace

template <typename T>
float softmax(const float* scores, int64_t first, int64_t last, int64_t padded, float scale,
              T* shares) {
  Floats largest = simd::all(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < padded; i += 16) {
    const Mask lanes = lanes_between(i, first, last);
    largest = simd::max_where(lanes, largest, simd::load(scores + i));
  }
  const Floats top = simd::all(simd::largest(largest));
  const Floats factor = simd::all(scale);
  Floats sum = simd::zero();
  for (int64_t i = 0; i < padded; i += 16) {
    const Mask lanes = lanes_between(i, first, last);
    const Floats distance = simd::difference_where(lanes, simd::load(scores + i), top);
    const Floats share = simd::only(lanes, simd::exp(distance * factor));
    simd::store(shares + i, share);
    sum = sum + simd::load(shares + i);
  }
  return 1.0f / simd::sum(sum);
}

template <typename T>
void add_rms_norm(float* sum, const float* delta, const float* weight, float eps, int64_t columns,
                  T* y) {
  Floats squares = simd::zero();
  simd::for_each_vector(columns, [&](int64_t i, Mask lanes) {
    Floats x = simd::load(sum + i, lanes);
    if (delta != nullptr) {
      x = x + simd::load(delta + i, lanes);
      simd::store(sum + i, x, lanes);
    }
    squares = simd::multiply_add(x, x, squares);
  });
  const Floats inverse =
      simd::all(1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(columns) + eps));
  simd::for_each_vector(columns, [&](int64_t i, Mask lanes) {
    simd::store(y + i, simd::load(sum + i, lanes) * inverse * simd::load(weight + i, lanes), lanes);
  });
  pad_pair(y, columns);
}

template <typename T>
void gated_activation(const float* gate_up, bool gelu, int64_t columns, T* y) {
  simd::for_each_vector(columns, [&](int64_t i, Mask lanes) {
    const Floats gate = simd::load(gate_up + i, lanes);
    const Floats active = gelu ? gelu_of(gate) : gate * simd::sigmoid(gate);
    simd::store(y + i, active * simd::load(gate_up + columns + i, lanes), lanes);
  });
  pad_pair(y, columns);
}

template <typename T>
void store_row(const float* x, int64_t columns, T* y) {
  simd::for_each_vector(
      columns, [&](int64_t i, Mask lanes) { simd::store(y + i, simd::load(x + i, lanes), lanes); });
  pad_pair(y, columns);
}

void rotate(float* head, const float* cos, const float* sin, int64_t half) {
  simd::for_each_vector(half, [&](int64_t i, Mask lanes) {
    const Floats a = simd::load(head + i, lanes), b = simd::load(head + half + i, lanes);
    const Floats c = simd::load(cos + i, lanes), s = simd::load(sin + i, lanes);
    simd::store(head + i, simd::subtract_product(b, s, a * c), lanes);
    simd::store(head + half + i, simd::multiply_add(a, s, b * c), lanes);
  });
}

template float softmax(const float*, int64_t, int64_t, int64_t, float, uint16_t*);
template float softmax(const float*, int64_t, int64_t, int64_t, float, float*);
template void add_rms_norm(float*, const float*, const float*, float, int64_t, uint16_t*);
template void add_rms_norm(float*, const float*, const float*, float, int64_t, float*);
template void gated_activation(const float*, bool, int64_t, uint16_t*);
template void gated_activation(const float*, bool, int64_t, float*);
template void store_row(const float*, int64_t, uint16_t*);
template void store_row(const float*, int64_t, float*);

}  // namespace llm::packed::LLM_SIMD
