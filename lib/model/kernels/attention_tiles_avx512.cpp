#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/kernels/attention_tiles.h"
#include "model/kernels/simd_avx512.h"

namespace llm::tiles {
namespace {

using simd::first_lanes;
using simd::load;
using simd::store;

constexpr int64_t kLanes = 16;
constexpr int64_t kVectors = kTile / kLanes;

// Two rows of fp32 as the interleaved bfloat pairs of operand B: lane i = (low bits of `even`, high
// bits of `odd`).
inline __m512i interleave(__m512 even, __m512 odd) {
  const __m512i low = _mm512_cvtepu16_epi32(simd::narrow(even));
  const __m512i high = _mm512_cvtepu16_epi32(simd::narrow(odd));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

inline void store_pair(float* out, int64_t row, int64_t width, int64_t column, __m512 even,
                       __m512 odd) {
  _mm512_storeu_ps(out + row * width + column, even);
  _mm512_storeu_ps(out + (row + 1) * width + column, odd);
}
inline void store_pair(bfloat* out, int64_t row, int64_t width, int64_t column, __m512 even,
                       __m512 odd) {
  _mm512_storeu_si512(out + row * width + 2 * column, interleave(even, odd));
}

// 16 x 16 transpose of 32-bit elements in registers.
inline void transpose16(__m512i r[16]) {
  __m512i t[16];
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
}

// Words: pairs of bfloat or single floats. Transposes `rows` (<= 16, the rest zero) by `words` (<=
// 16) words.
inline void transpose_words(const uint32_t* x, int64_t stride, int64_t rows, int64_t words,
                            uint32_t* out, int64_t out_stride) {
  __m512i r[16];
  const __mmask16 present = first_lanes(words);
  for (int64_t i = 0; i < 16; ++i) {
    r[i] = i < rows ? _mm512_maskz_loadu_epi32(present, x + i * stride) : _mm512_setzero_si512();
  }
  transpose16(r);
  for (int64_t i = 0; i < words; ++i) {
    _mm512_storeu_si512(out + i * out_stride, r[i]);
  }
}

inline __mmask16 visible(const Mask& mask, int64_t key, int64_t column) {
  if (key >= mask.keys) {
    return 0;
  }
  if (!mask.causal) {
    return 0xffff;
  }
  const int64_t lane = key - mask.query0 - column;  // the first whose query is not before the key
  const __mmask16 not_later =
      lane <= 0 ? 0xffff : (lane >= kLanes ? 0 : static_cast<__mmask16>(0xffff << lane));
  if (mask.first == nullptr) {
    return not_later;
  }
  return _mm512_mask_cmple_epi32_mask(not_later, _mm512_loadu_si512(mask.first + column),
                                      _mm512_set1_epi32(static_cast<int>(key)));
}

}  // namespace

template <typename T>
void pack_transposed(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out) {
  constexpr int64_t kPerWord = 4 / sizeof(T);
  const int64_t words = depth / kPerWord;
  for (int64_t r = 0; r < kTile; r += kLanes) {
    for (int64_t w = 0; w < words; w += kLanes) {
      transpose_words(reinterpret_cast<const uint32_t*>(x + r * stride) + w, stride / kPerWord,
                      std::min<int64_t>(std::max<int64_t>(rows - r, 0), kLanes),
                      std::min<int64_t>(words - w, kLanes),
                      reinterpret_cast<uint32_t*>(out) + w * kTile + r, kTile);
    }
  }
}

template <typename T>
void pack_rows(const T* x, int64_t stride, int64_t rows, int64_t depth, T* out) {
  if constexpr (sizeof(T) == 4) {
    for (int64_t r = 0; r < kTile; ++r) {
      if (r < rows) {
        std::memcpy(out + r * depth, x + r * stride, sizeof(T) * depth);
      } else {
        std::memset(out + r * depth, 0, sizeof(T) * depth);
      }
    }
  } else {
    for (int64_t r = 0; r < kTile; r += 2) {
      for (int64_t d = 0; d < depth; d += kLanes) {
        const __m512i even = r < rows ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                            reinterpret_cast<const __m256i*>(x + r * stride + d)))
                                      : _mm512_setzero_si512();
        const __m512i odd = r + 1 < rows
                                ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                      reinterpret_cast<const __m256i*>(x + (r + 1) * stride + d)))
                                : _mm512_setzero_si512();
        _mm512_storeu_si512(out + r * depth + 2 * d,
                            _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
      }
    }
  }
}

template <typename T>
void transpose(const T* x, int64_t stride, int64_t rows, int64_t padded, int64_t depth, T* out,
               int64_t out_stride) {
  for (int64_t d = 0; d < depth; d += kLanes) {
    for (int64_t r = 0; r < padded; r += kLanes) {
      __m512i block[16];
      for (int64_t i = 0; i < 16; ++i) {
        block[i] = r + i < rows ? _mm512_castps_si512(load(x + (r + i) * stride + d))
                                : _mm512_setzero_si512();
      }
      transpose16(block);
      for (int64_t i = 0; i < 16; ++i) {
        store(out + (d + i) * out_stride + r, _mm512_castsi512_ps(block[i]));
      }
    }
  }
}

template <typename T>
void store_transposed(const float* x, const float* factors, int64_t rows, int64_t depth, T* out,
                      int64_t stride) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const __m512 factor = factors != nullptr ? _mm512_loadu_ps(factors + r) : _mm512_set1_ps(1.0f);
    for (int64_t d = 0; d < depth; d += kLanes) {
      __m512i block[16];
      for (int64_t i = 0; i < 16; ++i) {
        block[i] =
            _mm512_castps_si512(_mm512_mul_ps(_mm512_loadu_ps(x + (d + i) * kTile + r), factor));
      }
      transpose16(block);
      for (int64_t i = 0; i < 16 && r + i < rows; ++i) {
        store(out + (r + i) * stride + d, _mm512_castsi512_ps(block[i]));
      }
    }
  }
}

template <typename T>
void softmax_columns(const float* scores, int64_t tiles, const Mask& mask, float scale,
                     T* probabilities, float* inverse_sum, float* log_sum_exp) {
  const int64_t height = tiles * kTile;
  const __m512 factor = _mm512_set1_ps(scale), hidden = _mm512_set1_ps(-INFINITY);
  for (int64_t v = 0; v < kVectors; ++v) {
    const int64_t column = v * kLanes;
    __m512 top = hidden;
    for (int64_t k = 0; k < height; ++k) {
      const __mmask16 seen = visible(mask, mask.key0 + k, column);
      top = _mm512_mask_max_ps(top, seen, top, _mm512_loadu_ps(scores + k * kTile + column));
    }
    // A query that sees nothing keeps zero weights: any finite offset does.
    const __mmask16 blind = _mm512_cmp_ps_mask(top, hidden, _CMP_EQ_OQ);
    const __m512 offset =
        _mm512_mask_mov_ps(_mm512_mul_ps(top, factor), blind, _mm512_setzero_ps());
    __m512 sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < height; k += 2) {
      __m512 p[2];
      for (int64_t i = 0; i < 2; ++i) {
        const __m512 s =
            _mm512_fmsub_ps(_mm512_loadu_ps(scores + (k + i) * kTile + column), factor, offset);
        p[i] = _mm512_maskz_mov_ps(visible(mask, mask.key0 + k + i, column), simd::exp(s));
        sum = _mm512_add_ps(sum, p[i]);
      }
      store_pair(probabilities, k, kTile, column, p[0], p[1]);
    }
    const __mmask16 some = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_GT_OQ);
    _mm512_storeu_ps(inverse_sum + column, _mm512_maskz_div_ps(some, _mm512_set1_ps(1.0f), sum));
    alignas(64) float sums[kLanes], offsets[kLanes];
    _mm512_store_ps(sums, sum);
    _mm512_store_ps(offsets, offset);
    for (int64_t i = 0; i < kLanes; ++i) {
      log_sum_exp[column + i] = sums[i] > 0 ? offsets[i] + std::log(sums[i]) : 0.0f;
    }
  }
}

template <typename T>
void softmax_backward(const float* scores, const float* d_probabilities, const Mask& mask,
                      float scale, const float* log_sum_exp, const float* delta, T* p, T* ds,
                      T* ds_operand) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t v = 0; v < kVectors; ++v) {
    const int64_t column = v * kLanes;
    const __m512 lse = _mm512_loadu_ps(log_sum_exp + column),
                 offset = _mm512_loadu_ps(delta + column);
    for (int64_t k = 0; k < kTile; k += 2) {
      __m512 d[2];
      for (int64_t i = 0; i < 2; ++i) {
        const int64_t at = (k + i) * kTile + column;
        const __mmask16 seen = visible(mask, mask.key0 + k + i, column);
        const __m512 weight = _mm512_maskz_mov_ps(
            seen, simd::exp(_mm512_fmsub_ps(_mm512_loadu_ps(scores + at), factor, lse)));
        d[i] = _mm512_maskz_mul_ps(seen, _mm512_mul_ps(weight, factor),
                                   _mm512_sub_ps(_mm512_loadu_ps(d_probabilities + at), offset));
        store(p + at, weight);
        store(ds + at, d[i]);
      }
      store_pair(ds_operand, k, kTile, column, d[0], d[1]);
    }
  }
}

template <typename T>
float dot(const T* a, const T* b, int64_t depth) {
  __m512 sum = _mm512_setzero_ps();
  simd::for_each_vector(depth, [&](int64_t i, __mmask16 m) {
    sum = _mm512_fmadd_ps(load(a + i, m), load(b + i, m), sum);
  });
  return _mm512_reduce_add_ps(sum);
}

template <typename T>
void store_row(const float* x, int64_t depth, T* out) {
  simd::for_each_vector(depth, [&](int64_t i, __mmask16 m) { store(out + i, load(x + i, m), m); });
}

#define LLM_TILES(T)                                                                            \
  template void pack_transposed(const T*, int64_t, int64_t, int64_t, T*);                       \
  template void pack_rows(const T*, int64_t, int64_t, int64_t, T*);                             \
  template void transpose(const T*, int64_t, int64_t, int64_t, int64_t, T*, int64_t);           \
  template void store_transposed(const float*, const float*, int64_t, int64_t, T*, int64_t);    \
  template void softmax_columns(const float*, int64_t, const Mask&, float, T*, float*, float*); \
  template void softmax_backward(const float*, const float*, const Mask&, float, const float*,  \
                                 const float*, T*, T*, T*);                                     \
  template float dot(const T*, const T*, int64_t);                                              \
  template void store_row(const float*, int64_t, T*);
LLM_TILES(float)
LLM_TILES(bfloat)
#undef LLM_TILES

}  // namespace llm::tiles
