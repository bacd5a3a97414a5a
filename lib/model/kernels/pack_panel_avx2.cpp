// Rows into panels: blocks of 16 by 16 words turned in registers.
#include "model/kernels/packed_kernels.h"
#include "model/kernels/simd_avx2.h"

namespace llm::packed::avx2 {

namespace simd = llm::simd::avx2;

int64_t pack_rows(const std::array<const std::byte*, kPanelRows>& rows, int64_t words,
                  uint32_t* panel) {
  constexpr int64_t kBlock = 16;
  const int64_t whole = words / kBlock * kBlock;
  for (int64_t word = 0; word < whole; word += kBlock) {
    for (int64_t half = 0; half < kPanelRows; half += kBlock) {
      simd::Floats block[kBlock];
      for (int64_t i = 0; i < kBlock; ++i)
        block[i] = simd::load(
            reinterpret_cast<const float*>(rows[static_cast<size_t>(half + i)] + word * 4));
      simd::transpose(block);
      for (int64_t i = 0; i < kBlock; ++i)
        simd::store(reinterpret_cast<float*>(panel + (word + i) * kPanelRows + half), block[i]);
    }
  }
  return whole;
}

void round_to_bfloat(const float* x, int64_t count, uint16_t* y) {
  simd::for_each_vector(
      count, [&](int64_t i, simd::Mask m) { simd::store(y + i, simd::load(x + i, m), m); });
}

}  // namespace llm::packed::avx2
