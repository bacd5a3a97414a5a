// Sixteen fp32 lanes in two registers of eight; the words are those of simd_avx512.h, which says
// what they mean. Include only from *_avx2.cpp, before the body.
#pragma once

#define LLM_SIMD avx2

#include <immintrin.h>

#include <cstdint>

namespace llm::simd::avx2 {

struct Floats {
  __m256 low, high;
};
using Mask = uint16_t;  // a bit each lane, the first the lowest

inline Floats operator+(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Floats operator-(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Floats operator*(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Floats operator/(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Floats all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Floats multiply_subtract(Floats a, Floats b, Floats c) {
  return {_mm256_fmsub_ps(a.low, b.low, c.low), _mm256_fmsub_ps(a.high, b.high, c.high)};
}
inline Floats subtract_product(Floats a, Floats b, Floats c) {
  return {_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}
inline Floats square_root(Floats x) { return {_mm256_sqrt_ps(x.low), _mm256_sqrt_ps(x.high)}; }

/// All ones in the lanes of eight bits.
inline __m256 lanes_of(unsigned bits) {
  const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), each);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each));
}
inline Floats lanes(Mask m) { return {lanes_of(m & 0xffu), lanes_of(m >> 8)}; }
inline Mask mask_of(__m256 low, __m256 high) {
  return static_cast<Mask>(_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8);
}
inline Floats choose(Mask m, Floats x, Floats y) {
  if (m == 0xffff) return x;
  const Floats where = lanes(m);
  return {_mm256_blendv_ps(y.low, x.low, where.low), _mm256_blendv_ps(y.high, x.high, where.high)};
}
inline Floats only(Mask m, Floats x) {
  if (m == 0xffff) return x;
  const Floats where = lanes(m);
  return {_mm256_and_ps(x.low, where.low), _mm256_and_ps(x.high, where.high)};
}
inline Floats max_where(Mask m, Floats x, Floats y) {
  return choose(m, {_mm256_max_ps(x.low, y.low), _mm256_max_ps(x.high, y.high)}, x);
}
inline Floats quotient_where(Mask m, Floats a, Floats b) { return only(m, a / b); }
inline Floats product_where(Mask m, Floats a, Floats b) { return only(m, a * b); }
inline Floats difference_where(Mask m, Floats a, Floats b) { return only(m, a - b); }
inline Mask equal(Floats a, Floats b) {
  return mask_of(_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ),
                 _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ));
}
inline Mask greater(Floats a, Floats b) {
  return mask_of(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ),
                 _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ));
}
inline Mask not_above(Mask m, const int32_t* x, int32_t limit) {
  const __m256i top = _mm256_set1_epi32(limit);
  const auto above = [&](const int32_t* from) {
    return _mm256_castsi256_ps(
        _mm256_cmpgt_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), top));
  };
  return static_cast<Mask>(m & ~mask_of(above(x), above(x + 8)));
}

inline float sum_of(__m256 x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float sum(Floats x) { return sum_of(_mm256_add_ps(x.low, x.high)); }
inline float largest(Floats x) {
  const __m256 eight = _mm256_max_ps(x.low, x.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline float first(Floats x) { return _mm256_cvtss_f32(x.low); }

struct DoubleSquares {
  __m256d part[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  void add(Floats v) {
    add(v.low);
    add(v.high);
  }
  void add(__m256 v) {
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                  b = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    part[0] = _mm256_fmadd_pd(a, a, part[0]);
    part[1] = _mm256_fmadd_pd(b, b, part[1]);
  }
  double sum() const {
    const __m256d four = _mm256_add_pd(part[0], part[1]);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

/// Eight bfloat16.
inline __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
/// To nearest even, as 32-bit words that hold 16 bits; denormals kept.
inline __m256i narrow_words(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
}
inline __m256i narrow(Floats x) {
  const __m256i both = _mm256_packus_epi32(narrow_words(x.low), narrow_words(x.high));
  return _mm256_permute4x64_epi64(both, 0xd8);
}

inline Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Floats load(const uint16_t* p) {
  const auto eight = [](const uint16_t* from) {
    return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  };
  return {eight(p), eight(p + 8)};
}
inline Floats load(const float* p, Mask m) {
  if (m == 0xffff) return load(p);
  const Floats where = lanes(m);
  return {_mm256_maskload_ps(p, _mm256_castps_si256(where.low)),
          _mm256_maskload_ps(p + 8, _mm256_castps_si256(where.high))};
}
inline Floats load(const uint16_t* p, Mask m) {
  if (m == 0xffff) return load(p);
  uint16_t copy[16] = {};
  for (int i = 0; i < 16; ++i) {
    if ((m >> i & 1) != 0) copy[i] = p[i];
  }
  return load(copy);
}
inline void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
inline void store(uint16_t* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x));
}
inline void store(float* p, Floats x, Mask m) {
  if (m == 0xffff) return store(p, x);
  const Floats where = lanes(m);
  _mm256_maskstore_ps(p, _mm256_castps_si256(where.low), x.low);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(where.high), x.high);
}
inline void store(uint16_t* p, Floats x, Mask m) {
  if (m == 0xffff) return store(p, x);
  uint16_t copy[16];
  store(copy, x);
  for (int i = 0; i < 16; ++i) {
    if ((m >> i & 1) != 0) p[i] = copy[i];
  }
}

/// e^x to about 2 ulp: 2^n * p(r) with r in [-ln2/2, ln2/2]; underflows to 0 below -87.3, clamps
/// above 88.3; NaN stays NaN.
inline __m256 exp_of(__m256 x) {
  const __m256 bound = _mm256_set1_ps(-87.3f);
  const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q), tiny = _mm256_cmp_ps(x, bound, _CMP_LT_OQ);
  const __m256 y = _mm256_min_ps(_mm256_max_ps(x, bound), _mm256_set1_ps(88.3f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(y, _mm256_set1_ps(1.44269504088896341f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), y);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 value = _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
  return _mm256_blendv_ps(value, x, nan);
}
inline Floats exp(Floats x) { return {exp_of(x.low), exp_of(x.high)}; }

/// Eight rows of eight words become columns.
inline void transpose8(__m256 (&r)[8]) {
  __m256 t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
    t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}
inline void transpose(Floats (&rows)[16]) {
  const auto turned = [&](int first, bool high) {
    struct Eight {
      __m256 r[8];
    } block;
    for (int i = 0; i < 8; ++i) block.r[i] = high ? rows[first + i].high : rows[first + i].low;
    transpose8(block.r);
    return block;
  };
  const auto top_left = turned(0, false), top_right = turned(0, true),
             bottom_left = turned(8, false), bottom_right = turned(8, true);
  for (int i = 0; i < 8; ++i) {
    rows[i] = {top_left.r[i], bottom_left.r[i]};
    rows[8 + i] = {top_right.r[i], bottom_right.r[i]};
  }
}

inline void store_interleaved(uint16_t* out, __m256i even, __m256i odd) {
  const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
  auto* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
}
inline void store_interleaved(uint16_t* out, Floats even, Floats odd) {
  store_interleaved(out, narrow(even), narrow(odd));
}
inline void store_interleaved(uint16_t* out, const uint16_t* even, const uint16_t* odd) {
  const auto row = [](const uint16_t* from) {
    return from == nullptr ? _mm256_setzero_si256()
                           : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  };
  store_interleaved(out, row(even), row(odd));
}

}  // namespace llm::simd::avx2

#include "model/kernels/simd_common.h"
