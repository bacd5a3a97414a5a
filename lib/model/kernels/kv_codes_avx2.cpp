// Keys and values in codes back into the model's number format, a panel at a time.
#include "model/kernels/packed_kernels.h"
#include "model/kernels/panel_forms_avx2.h"
#include "model/kernels/simd_avx2.h"

namespace llm::packed::avx2 {
namespace {

namespace simd = llm::simd::avx2;
using simd::Floats;

template <Codes kCodes>
inline Floats sixteen(const int8_t* x) {
  const auto* codes = reinterpret_cast<const std::byte*>(x);
  return {code_values<kCodes>(eight_codes(codes)), code_values<kCodes>(eight_codes(codes + 8))};
}

/// Each scale twice, as pairs of bfloat16 columns lie: 0 0 1 1 ... 7 7.
inline Floats doubled(const float* scales) {
  const __m256 eight = _mm256_loadu_ps(scales);
  return {_mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
          _mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}

template <Codes kCodes>
void keys_of(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel) {
  const Floats by[4] = {doubled(scales), doubled(scales + 8), doubled(scales + 16),
                        doubled(scales + 24)};
  for (int64_t i = 0; i < dim * kPanelRows; i += 64) {
    for (int part = 0; part < 4; ++part)
      simd::store(panel + i + part * 16, sixteen<kCodes>(keys + i + part * 16) * by[part]);
  }
}

template <Codes kCodes>
void keys_of(const int8_t* keys, const float* scales, int64_t dim, float* panel) {
  for (int64_t i = 0; i < dim * kPanelRows; i += 16)
    simd::store(panel + i, sixteen<kCodes>(keys + i) * simd::load(scales + i % kPanelRows));
}

template <Codes kCodes>
void values_of(const int8_t* values, const float* scales, int64_t dim, uint16_t* panels) {
  for (int64_t first = 0; first < dim; first += kPanelRows) {
    for (int64_t pair = 0; pair < kPanelRows / 2; ++pair) {
      const __m256 two =
          _mm256_castpd_ps(_mm256_broadcast_sd(reinterpret_cast<const double*>(scales + 2 * pair)));
      const int64_t at = first * kPanelRows + pair * 2 * kPanelRows;
      for (int64_t i = at; i < at + 2 * kPanelRows; i += 16)
        simd::store(panels + i, sixteen<kCodes>(values + i) * Floats{two, two});
    }
  }
}

template <Codes kCodes>
void values_of(const int8_t* values, const float* scales, int64_t dim, float* panels) {
  for (int64_t slot = 0; slot < dim; ++slot) {
    const Floats by = simd::all(scales[slot % kPanelRows]);
    for (int64_t i = slot * kPanelRows; i < (slot + 1) * kPanelRows; i += 16)
      simd::store(panels + i, sixteen<kCodes>(values + i) * by);
  }
}

}  // namespace

void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel) {
  keys_of<Codes::int8>(keys, scales, dim, panel);
}
void dequantise_keys(const int8_t* keys, const float* scales, int64_t dim, float* panel) {
  keys_of<Codes::int8>(keys, scales, dim, panel);
}
void dequantise_values(const int8_t* values, const float* scales, int64_t dim, uint16_t* panels) {
  values_of<Codes::int8>(values, scales, dim, panels);
}
void dequantise_values(const int8_t* values, const float* scales, int64_t dim, float* panels) {
  values_of<Codes::int8>(values, scales, dim, panels);
}

}  // namespace llm::packed::avx2

namespace llm::packed {

void dequantise_fp8_keys(const int8_t* keys, const float* scales, int64_t dim, uint16_t* panel) {
  avx2::keys_of<Codes::fp8>(keys, scales, dim, panel);
}
void dequantise_fp8_keys(const int8_t* keys, const float* scales, int64_t dim, float* panel) {
  avx2::keys_of<Codes::fp8>(keys, scales, dim, panel);
}
void dequantise_fp8_values(const int8_t* values, const float* scales, int64_t dim,
                           uint16_t* panels) {
  avx2::values_of<Codes::fp8>(values, scales, dim, panels);
}
void dequantise_fp8_values(const int8_t* values, const float* scales, int64_t dim, float* panels) {
  avx2::values_of<Codes::fp8>(values, scales, dim, panels);
}

}  // namespace llm::packed
