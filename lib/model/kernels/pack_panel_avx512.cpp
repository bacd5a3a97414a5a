// Rows into panels: blocks of 16 by 16 words turned in registers.
#include <immintrin.h>

#include "model/kernels/packed_kernels.h"

namespace llm::packed::avx512 {
namespace {

/// r[i] word j <-> r[j] word i.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {  // pairs of words
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // quadruples: r[i + k] holds words k, k + 4, k + 8, k + 12
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int k = 0; k < 4; ++k) {
    const __m512i low = _mm512_shuffle_i32x4(r[k], r[k + 4], 0x88),
                  high = _mm512_shuffle_i32x4(r[k], r[k + 4], 0xdd),
                  low2 = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0x88),
                  high2 = _mm512_shuffle_i32x4(r[k + 8], r[k + 12], 0xdd);
    t[k] = _mm512_shuffle_i32x4(low, low2, 0x88);
    t[k + 8] = _mm512_shuffle_i32x4(low, low2, 0xdd);
    t[k + 4] = _mm512_shuffle_i32x4(high, high2, 0x88);
    t[k + 12] = _mm512_shuffle_i32x4(high, high2, 0xdd);
  }
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

}  // namespace

int64_t pack_rows(const std::array<const std::byte*, kPanelRows>& rows, int64_t words,
                  uint32_t* panel) {
  constexpr int64_t kBlock = 16;
  const int64_t whole = words / kBlock * kBlock;
  for (int64_t word = 0; word < whole; word += kBlock) {
    for (int64_t half = 0; half < kPanelRows; half += kBlock) {
      __m512i block[kBlock];
      for (int64_t i = 0; i < kBlock; ++i)
        block[i] = _mm512_loadu_si512(rows[static_cast<size_t>(half + i)] + word * 4);
      transpose(block);
      for (int64_t i = 0; i < kBlock; ++i)
        _mm512_storeu_si512(panel + (word + i) * kPanelRows + half, block[i]);
    }
  }
  return whole;
}

namespace {

/// By integers, for what vcvtneps2bf16 does otherwise: it takes the smallest numbers for zero.
__m256i round_any(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i raised = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(
      _mm512_mask_mov_epi32(_mm512_srli_epi32(raised, 16), nan, _mm512_set1_epi32(0x7fc0)));
}

}  // namespace

void round_to_bfloat(const float* x, int64_t count, uint16_t* y) {
  constexpr int kNanOrSubnormal = 0x01 | 0x20 | 0x80;
  for (int64_t i = 0; i < count; i += 16) {
    const auto lanes = static_cast<__mmask16>(count - i >= 16 ? 0xffff : (1u << (count - i)) - 1);
    const __m512 values = _mm512_maskz_loadu_ps(lanes, x + i);
    const bool usual = _mm512_fpclass_ps_mask(values, kNanOrSubnormal) == 0;
    const __m256i rounded =
        usual ? reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)) : round_any(values);
    _mm256_mask_storeu_epi16(y + i, lanes, rounded);
  }
}

}  // namespace llm::packed::avx512
