// Sixteen fp32 lanes, loaded from and stored to fp32 or bfloat16 memory, and the few functions that
// the kernels need: the same words as in simd_avx2.h, so that a kernel is written once (*_body.h)
// and compiled for each instruction set. Here the lanes are one register. Include only from
// *_avx512.cpp, before the body.
#pragma once

#define LLM_SIMD avx512

#include <immintrin.h>

#include <cstdint>

namespace llm::simd::avx512 {

using Floats = __m512;  // with the operators + - * /
using Mask = __mmask16;

inline Floats zero() { return _mm512_setzero_ps(); }
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats multiply_subtract(Floats a, Floats b, Floats c) { return _mm512_fmsub_ps(a, b, c); }
inline Floats subtract_product(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
inline Floats square_root(Floats x) { return _mm512_sqrt_ps(x); }
/// Lanes outside `m`: 0 in `only`, `x` in `max_where`.
inline Floats only(Mask m, Floats x) { return _mm512_maskz_mov_ps(m, x); }
inline Floats max_where(Mask m, Floats x, Floats y) { return _mm512_mask_max_ps(x, m, x, y); }
inline float sum(Floats x) { return _mm512_reduce_add_ps(x); }
inline float largest(Floats x) { return _mm512_reduce_max_ps(x); }
inline float first(Floats x) { return _mm512_cvtss_f32(x); }
inline Mask equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
inline Mask greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
/// Zero outside `m`.
inline Floats quotient_where(Mask m, Floats a, Floats b) { return _mm512_maskz_div_ps(m, a, b); }
inline Floats product_where(Mask m, Floats a, Floats b) { return _mm512_maskz_mul_ps(m, a, b); }
inline Floats difference_where(Mask m, Floats a, Floats b) { return _mm512_maskz_sub_ps(m, a, b); }
/// `x` where `m`, else `y`.
inline Floats choose(Mask m, Floats x, Floats y) { return _mm512_mask_mov_ps(y, m, x); }
/// Those of `m` whose integer is not above `limit`.
inline Mask not_above(Mask m, const int32_t* x, int32_t limit) {
  return _mm512_mask_cmple_epi32_mask(m, _mm512_loadu_si512(x), _mm512_set1_epi32(limit));
}
/// Sums of squares of many numbers, in double precision.
struct DoubleSquares {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  void add(Floats v) {
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(v)),
                  b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    low = _mm512_fmadd_pd(a, a, low);
    high = _mm512_fmadd_pd(b, b, high);
  }
  double sum() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
};

inline __m512 widen(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline __m512 load(const float* p) { return _mm512_loadu_ps(p); }
inline __m512 load(const uint16_t* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline __m512 load(const float* p, __mmask16 m) { return _mm512_maskz_loadu_ps(m, p); }
inline __m512 load(const uint16_t* p, __mmask16 m) { return widen(_mm256_maskz_loadu_epi16(m, p)); }

// Round to nearest even, denormals kept: vcvtneps2bf16 would flush them.
inline __m256i narrow(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0)));
}
inline void store(float* p, __m512 x) { _mm512_storeu_ps(p, x); }
inline void store(uint16_t* p, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x));
}
inline void store(float* p, __m512 x, __mmask16 m) { _mm512_mask_storeu_ps(p, m, x); }
inline void store(uint16_t* p, __m512 x, __mmask16 m) { _mm256_mask_storeu_epi16(p, m, narrow(x)); }

/// e^x to about 2 ulp: 2^n * p(r) with r in [-ln2/2, ln2/2]; underflows to 0 below -87.3, clamps
/// above 88.3; NaN stays NaN.
inline __m512 exp(__m512 x) {
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __mmask16 tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_LT_OQ);
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.3f)), _mm512_set1_ps(88.3f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  // min and max above took NaN for their bound: give it back.
  return _mm512_mask_mov_ps(_mm512_maskz_scalef_ps(static_cast<__mmask16>(~tiny), p, n), nan,
                            _mm512_set1_ps(__builtin_nanf("")));
}

/// Sixteen rows of sixteen 32-bit words become columns.
inline void transpose(Floats (&rows)[16]) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_castps_si512(rows[i]);
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[8 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[4 + i], 0x88);
    r[4 + i] = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[4 + i], 0xdd);
    r[12 + i] = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0xdd);
  }
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_castsi512_ps(r[i]);
}

/// Two rows of sixteen bfloat16, number by number in turns.
inline void store_interleaved(uint16_t* out, Floats even, Floats odd) {
  const __m512i low = _mm512_cvtepu16_epi32(narrow(even));
  const __m512i high = _mm512_cvtepu16_epi32(narrow(odd));
  _mm512_storeu_si512(out, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
/// The same from memory; null is a row of zeros.
inline void store_interleaved(uint16_t* out, const uint16_t* even, const uint16_t* odd) {
  const auto lanes = [](const uint16_t* row) {
    return row == nullptr
               ? _mm512_setzero_si512()
               : _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
  };
  _mm512_storeu_si512(out, _mm512_or_si512(lanes(even), _mm512_slli_epi32(lanes(odd), 16)));
}

}  // namespace llm::simd::avx512

#include "model/kernels/simd_common.h"
