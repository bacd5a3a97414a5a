// Rows into panels: blocks of 16 by 16 words turned in registers.
#include <immintrin.h>

#include <cstring>

#include "model/kernels/packed_kernels.h"

namespace llm::packed {
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

int64_t pack_rows(const std::byte* source, size_t row_bytes, int64_t words, uint32_t* panel) {
  constexpr int64_t kBlock = 16;
  const int64_t whole = words / kBlock * kBlock;
  for (int64_t word = 0; word < whole; word += kBlock) {
    for (int64_t half = 0; half < kPanelRows; half += kBlock) {
      __m512i rows[kBlock];
      for (int64_t i = 0; i < kBlock; ++i) {
        rows[i] = _mm512_loadu_si512(source + static_cast<size_t>(half + i) * row_bytes + word * 4);
      }
      transpose(rows);
      for (int64_t i = 0; i < kBlock; ++i) {
        _mm512_storeu_si512(panel + (word + i) * kPanelRows + half, rows[i]);
      }
    }
  }
  return whole;
}

}  // namespace llm::packed
