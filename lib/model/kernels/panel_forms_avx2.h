// The forms that a packed panel may have, as the products read them: `weights(k, part)` are eight
// outputs' weights of column k in float32, `scale` finishes a row of 32 sums. Up to
// kRowsWithoutStretch rows read a form as it is; for more it pays to bring it to float32 first, as
// to_floats does with a stretch of columns.
// Include only from *_avx2.cpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "model/kernels/weight_codes.h"

namespace llm::packed::avx2 {

/// Columns first .. first + width - 1 as [width][32].
template <typename Panel>
inline void columns_to_floats(const Panel& panel, int64_t first, int64_t width, float* values) {
  for (int64_t k = 0; k < width; ++k) {
    for (int part = 0; part < 4; ++part)
      _mm256_store_ps(values + k * kPanelRows + part * 8, panel.weights(first + k, part));
  }
}

struct FloatPanel {
  static constexpr int64_t kRowsWithoutStretch = 3;
  const float* values;
  __m256 weights(int64_t k, int part) const {
    return _mm256_load_ps(values + k * kPanelRows + part * 8);
  }
  void scale(float*) const {}
};

/// [columns / 2][32][2]
struct BfloatPanel {
  static constexpr int64_t kRowsWithoutStretch = 3;
  const uint16_t* values;
  __m256 weights(int64_t k, int part) const {
    const __m256i pairs =
        _mm256_load_si256(reinterpret_cast<const __m256i*>(values + k / 2 * 64 + part * 16));
    return _mm256_castsi256_ps(k % 2 == 0 ? _mm256_slli_epi32(pairs, 16)
                                          : _mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000)));
  }
  void scale(float*) const {}
};

/// Eight codes as 32-bit numbers with their sign.
inline __m256i eight_codes(const std::byte* codes) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
}

/// What they stand for, without the scale. e4m3: exponent and mantissa at the upper end of
/// float32's, the sign at its own place; a number that is then denormal is exact all the same.
template <Codes kCodes>
inline __m256 code_values(__m256i codes) {
  if constexpr (kCodes == Codes::int8) return _mm256_cvtepi32_ps(codes);
  const __m256i bits =
      _mm256_and_si256(_mm256_slli_epi32(codes, 20), _mm256_set1_epi32(-0x78100000));
  return _mm256_mul_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p120f));
}

/// 8-bit codes; the scales multiply the sums.
template <Codes kCodes>
struct CodePanel {
  static constexpr int64_t kRowsWithoutStretch = 3;
  const std::byte* codes;
  int64_t columns;
  __m256 weights(int64_t k, int part) const {
    return code_values<kCodes>(eight_codes(codes + k * kPanelRows + part * 8));
  }
  void scale(float* sums) const {
    const auto* scales = reinterpret_cast<const float*>(codes + columns * kPanelRows);
    for (int64_t row = 0; row < kPanelRows; row += 8)
      _mm256_storeu_ps(sums + row,
                       _mm256_mul_ps(_mm256_loadu_ps(sums + row), _mm256_loadu_ps(scales + row)));
  }
};

/// int4, whose groups of columns have scales of their own.
struct Int4Panel {
  static constexpr int64_t kRowsWithoutStretch = 2;
  const std::byte* codes;
  void scale(float*) const {}
};

/// Columns 0 .. 31 of one group, its scales in registers.
struct Int4Group {
  const std::byte* codes;
  __m256 scales[4];
  explicit Int4Group(const std::byte* group) : codes(group) {
    for (int part = 0; part < 4; ++part) {
      const __m128i bits =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(group + kGroupCodes + part * 16));
      scales[part] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
  }
  __m256 weights(int64_t k, int part) const {
    const __m256i both = eight_codes(codes + k / 2 * kPanelRows + part * 8);
    const __m256i code = k % 2 == 0 ? _mm256_srai_epi32(_mm256_slli_epi32(both, 28), 28)
                                    : _mm256_srai_epi32(both, 4);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(code), scales[part]);
  }
};

/// visit(group, first column in the group's stretch, how many) for columns first .. first + width -
/// 1; `first` begins a group.
template <typename Visit>
inline void for_each_group(const Int4Panel& panel, int64_t first, int64_t width,
                           const Visit& visit) {
  for (int64_t at = 0; at < width; at += kGroupColumns) {
    const Int4Group group(panel.codes + (first + at) / kGroupColumns * kGroupBytes);
    visit(group, at, width - at < kGroupColumns ? width - at : kGroupColumns);
  }
}

inline void columns_to_floats(const Int4Panel& panel, int64_t first, int64_t width, float* values) {
  for_each_group(panel, first, width, [&](const Int4Group& group, int64_t at, int64_t count) {
    columns_to_floats(group, 0, count, values + at * kPanelRows);
  });
}

}  // namespace llm::packed::avx2
