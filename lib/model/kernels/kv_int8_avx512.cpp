// int8 keys and values back into the model's number format, a panel at a time.
#include <immintrin.h>

#include <cstring>

#include "model/kernels/packed_kernels.h"

namespace llm::packed::avx512 {
namespace {

inline __m512 sixteen(const int8_t* x) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}

inline void store(uint16_t* out, __m512 x) {
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), rounded);
}
inline void store(float* out, __m512 x) { _mm512_storeu_ps(out, x); }

/// Each scale twice, as pairs of bfloat16 columns lie: 0 0 1 1 ... 7 7 from scales[8 * part].
inline __m512 doubled(const float* scales, int part) {
  const __m512i places = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  return _mm512_permutexvar_ps(places, _mm512_castps256_ps512(_mm256_loadu_ps(scales + 8 * part)));
}

}  // namespace

void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel) {
  const __m512 by[4] = {doubled(scales, 0), doubled(scales, 1), doubled(scales, 2),
                        doubled(scales, 3)};
  for (int64_t i = 0; i < dim * kPanelRows; i += 64) {
    for (int part = 0; part < 4; ++part)
      store(panel + i + part * 16, _mm512_mul_ps(sixteen(keys + i + part * 16), by[part]));
  }
}

void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, float* panel) {
  const __m512 by[2] = {_mm512_loadu_ps(scales), _mm512_loadu_ps(scales + 16)};
  for (int64_t i = 0; i < dim * kPanelRows; i += 32) {
    for (int part = 0; part < 2; ++part)
      store(panel + i + part * 16, _mm512_mul_ps(sixteen(keys + i + part * 16), by[part]));
  }
}

void dequantise_values(const int8_t* values, const float* scales, int64_t dim, uint16_t* panels) {
  for (int64_t first = 0; first < dim; first += kPanelRows) {
    for (int64_t pair = 0; pair < kPanelRows / 2; ++pair) {
      double both;
      std::memcpy(&both, scales + 2 * pair, sizeof both);
      const __m512 by = _mm512_castpd_ps(_mm512_set1_pd(both));  // s0 s1 s0 s1 ...
      const int64_t at = first * kPanelRows + pair * 2 * kPanelRows;
      for (int part = 0; part < 4; ++part)
        store(panels + at + part * 16, _mm512_mul_ps(sixteen(values + at + part * 16), by));
    }
  }
}

void dequantise_values(const int8_t* values, const float* scales, int64_t dim, float* panels) {
  for (int64_t first = 0; first < dim; first += kPanelRows) {
    for (int64_t slot = 0; slot < kPanelRows; ++slot) {
      const __m512 by = _mm512_set1_ps(scales[slot]);
      const int64_t at = (first + slot) * kPanelRows;
      store(panels + at, _mm512_mul_ps(sixteen(values + at), by));
      store(panels + at + 16, _mm512_mul_ps(sixteen(values + at + 16), by));
    }
  }
}

}  // namespace llm::packed::avx512
