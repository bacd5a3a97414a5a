#include <algorithm>
#include <cmath>
#include <limits>

#include "model/kernels/packed_kernels.h"
#include "model/kernels/simd_avx512.h"

namespace llm::packed {
namespace {

__mmask16 lanes_between(int64_t at, int64_t first, int64_t last) {
  const auto below = [](int64_t n) { return n <= 0 ? 0u : n >= 16 ? 0xffffu : (1u << n) - 1; };
  return static_cast<__mmask16>(below(last - at) & ~below(first - at));
}

/// Zeroes the second half of the last pair of an odd row.
void pad_pair(uint16_t* y, int64_t columns) {
  if (columns % 2 != 0) y[columns] = 0;
}
void pad_pair(float*, int64_t) {}

__m512 gelu_of(__m512 x) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, x);
  for (float& value : lanes) value = 0.5f * value * (1.0f + std::erf(value * 0.70710678f));
  return _mm512_load_ps(lanes);
}

}  // namespace

template <typename T>
float softmax(const float* scores, int64_t first, int64_t last, int64_t padded, float scale,
              T* shares) {
  __m512 largest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < padded; i += 16) {
    const __mmask16 lanes = lanes_between(i, first, last);
    largest = _mm512_mask_max_ps(largest, lanes, largest, _mm512_loadu_ps(scores + i));
  }
  const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < padded; i += 16) {
    const __mmask16 lanes = lanes_between(i, first, last);
    const __m512 distance = _mm512_maskz_sub_ps(lanes, _mm512_loadu_ps(scores + i), top);
    const __m512 share = _mm512_maskz_mov_ps(lanes, simd::exp(_mm512_mul_ps(distance, factor)));
    simd::store(shares + i, share);
    sum = _mm512_add_ps(sum, simd::load(shares + i));
  }
  return 1.0f / _mm512_reduce_add_ps(sum);
}

template <typename T>
void add_rms_norm(float* sum, const float* delta, const float* weight, float eps, int64_t columns,
                  T* y) {
  __m512 squares = _mm512_setzero_ps();
  simd::for_each_vector(columns, [&](int64_t i, __mmask16 lanes) {
    __m512 x = simd::load(sum + i, lanes);
    if (delta != nullptr) {
      x = _mm512_add_ps(x, simd::load(delta + i, lanes));
      simd::store(sum + i, x, lanes);
    }
    squares = _mm512_fmadd_ps(x, x, squares);
  });
  const __m512 inverse = _mm512_set1_ps(
      1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / static_cast<float>(columns) + eps));
  simd::for_each_vector(columns, [&](int64_t i, __mmask16 lanes) {
    simd::store(y + i,
                _mm512_mul_ps(_mm512_mul_ps(simd::load(sum + i, lanes), inverse),
                              simd::load(weight + i, lanes)),
                lanes);
  });
  pad_pair(y, columns);
}

template <typename T>
void gated_activation(const float* gate_up, bool gelu, int64_t columns, T* y) {
  simd::for_each_vector(columns, [&](int64_t i, __mmask16 lanes) {
    const __m512 gate = simd::load(gate_up + i, lanes);
    const __m512 active = gelu ? gelu_of(gate) : _mm512_mul_ps(gate, simd::sigmoid(gate));
    simd::store(y + i, _mm512_mul_ps(active, simd::load(gate_up + columns + i, lanes)), lanes);
  });
  pad_pair(y, columns);
}

template <typename T>
void store_row(const float* x, int64_t columns, T* y) {
  simd::for_each_vector(columns, [&](int64_t i, __mmask16 lanes) {
    simd::store(y + i, simd::load(x + i, lanes), lanes);
  });
  pad_pair(y, columns);
}

void rotate(float* head, const float* cos, const float* sin, int64_t half) {
  simd::for_each_vector(half, [&](int64_t i, __mmask16 lanes) {
    const __m512 a = simd::load(head + i, lanes), b = simd::load(head + half + i, lanes);
    const __m512 c = simd::load(cos + i, lanes), s = simd::load(sin + i, lanes);
    simd::store(head + i, _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c)), lanes);
    simd::store(head + half + i, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)), lanes);
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

}  // namespace llm::packed
