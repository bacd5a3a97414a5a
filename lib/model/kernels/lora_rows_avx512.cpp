#include "model/kernels/lora_rows.h"

#include "model/kernels/simd_avx512.h"

namespace llm::packed {
namespace {

constexpr int64_t kRanksAtOnce = 4;  // share the loads of x

template <int64_t ranks, typename T>
void down_block(const T* a, int64_t columns, const T* x, float* u) {
  __m512 sums[ranks];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  simd::for_each_vector(columns, [&](int64_t i, __mmask16 mask) {
    const __m512 values = simd::load(x + i, mask);
    for (int64_t k = 0; k < ranks; ++k)
      sums[k] = _mm512_fmadd_ps(simd::load(a + k * columns + i, mask), values, sums[k]);
  });
  for (int64_t k = 0; k < ranks; ++k) u[k] = _mm512_reduce_add_ps(sums[k]);
}

}  // namespace

template <typename T>
void lora_down(const T* a, int64_t ranks, int64_t columns, const T* x, float* u) {
  int64_t k = 0;
  for (; k + kRanksAtOnce <= ranks; k += kRanksAtOnce)
    down_block<kRanksAtOnce>(a + k * columns, columns, x, u + k);
  for (; k < ranks; ++k) down_block<1>(a + k * columns, columns, x, u + k);
}

template <typename T>
void lora_up(const T* b, int64_t ranks, int64_t stride, int64_t outputs, const float* u,
             float scale, float* y) {
  const __m512 factor = _mm512_set1_ps(scale);
  simd::for_each_vector(outputs, [&](int64_t i, __mmask16 mask) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < ranks; ++k)
      sum = _mm512_fmadd_ps(_mm512_set1_ps(u[k]), simd::load(b + k * stride + i, mask), sum);
    simd::store(y + i, _mm512_fmadd_ps(factor, sum, simd::load(y + i, mask)), mask);
  });
}

template void lora_down(const float*, int64_t, int64_t, const float*, float*);
template void lora_down(const uint16_t*, int64_t, int64_t, const uint16_t*, float*);
template void lora_up(const float*, int64_t, int64_t, int64_t, const float*, float, float*);
template void lora_up(const uint16_t*, int64_t, int64_t, int64_t, const float*, float, float*);

}  // namespace llm::packed
