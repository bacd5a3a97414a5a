// Compiled once for each instruction set; see lora_rows.h.
#include "model/kernels/lora_rows.h"

namespace llm::packed::LLM_SIMD {
namespace {

namespace simd = llm::simd::LLM_SIMD;
using simd::Floats;
using simd::Mask;

constexpr int64_t kRanksAtOnce = 4;  // share the loads of x

template <int64_t ranks, typename T>
void down_block(const T* a, int64_t columns, const T* x, float* u) {
  Floats sums[ranks];
  for (auto& sum : sums) sum = simd::zero();
  simd::for_each_vector(columns, [&](int64_t i, Mask mask) {
    const Floats values = simd::load(x + i, mask);
    for (int64_t k = 0; k < ranks; ++k)
      sums[k] = simd::multiply_add(simd::load(a + k * columns + i, mask), values, sums[k]);
  });
  for (int64_t k = 0; k < ranks; ++k) u[k] = simd::sum(sums[k]);
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
  const Floats factor = simd::all(scale);
  simd::for_each_vector(outputs, [&](int64_t i, Mask mask) {
    Floats sum = simd::zero();
    for (int64_t k = 0; k < ranks; ++k)
      sum = simd::multiply_add(simd::all(u[k]), simd::load(b + k * stride + i, mask), sum);
    simd::store(y + i, simd::multiply_add(factor, sum, simd::load(y + i, mask)), mask);
  });
}

template void lora_down(const float*, int64_t, int64_t, const float*, float*);
template void lora_down(const uint16_t*, int64_t, int64_t, const uint16_t*, float*);
template void lora_up(const float*, int64_t, int64_t, int64_t, const float*, float, float*);
template void lora_up(const uint16_t*, int64_t, int64_t, int64_t, const float*, float, float*);

}  // namespace llm::packed::LLM_SIMD
